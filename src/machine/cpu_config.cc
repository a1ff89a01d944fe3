#include "machine/cpu_config.h"

#include <linux/kvm.h>

#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

#include "base/json.h"

namespace mote::machine {
namespace {

constexpr std::uint32_t kKnownFlags =
    KVM_CPUID_FLAG_SIGNIFCANT_INDEX | KVM_CPUID_FLAG_STATEFUL_FUNC | KVM_CPUID_FLAG_STATE_READ_NEXT;

// All of `text` as a number in `base`; none for a sign, anything else or nothing.
std::optional<std::uint32_t> digits(std::string_view text, int base) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<std::uint32_t> parse_number(const json::Path& path, std::string_view text) {
  std::optional<std::uint32_t> value;
  if (text.starts_with("0x")) value = digits(text.substr(2), 16);
  if (text.starts_with("0b")) value = digits(text.substr(2), 2);
  if (value) return *value;
  return fail(ErrorKind::kInvalid,
              "{} is {}; it must be a number of 32 bits that begins with 0x or 0b", path.text(),
              json::quote(text));
}

// The lowest bit is the last letter; bits that are not given are the host's, like those of an x.
template <typename Register>
Result<arch::BitFilter<Register>> parse_bitmap(const json::Path& path, std::string_view text) {
  constexpr int kBits = std::numeric_limits<Register>::digits;
  std::string_view rest = text;
  if (rest.starts_with("0b")) rest.remove_prefix(2);
  arch::BitFilter<Register> filter;
  int bit = 0;
  for (; !rest.empty(); rest.remove_suffix(1)) {
    const char letter = rest.back();
    if (letter == '_') continue;
    if (bit == kBits || (letter != 'x' && letter != '0' && letter != '1')) {
      return fail(ErrorKind::kInvalid,
                  "{} is {}; it must be at most {} letters 0, 1 or x, of which the last is bit 0, "
                  "with or without 0b before them and _ between them",
                  path.text(), json::quote(text), kBits);
    }
    if (letter != 'x') filter.mask |= Register{1} << bit;
    if (letter == '1') filter.value |= Register{1} << bit;
    ++bit;
  }
  return filter;
}

Result<kvm::CapabilityChange> parse_capability(const json::Path& path, std::string_view text) {
  const bool needed = !text.starts_with('!');
  if (const auto number = digits(text.substr(needed ? 0 : 1), 10)) {
    return kvm::CapabilityChange{.number = *number, .needed = needed};
  }
  return fail(ErrorKind::kInvalid,
              "{} is {}; it must be the number of a KVM capability, of 32 bits, or ! and a number",
              path.text(), json::quote(text));
}

arch::BitFilter<std::uint32_t>& filter_of(arch::CpuidModifier& modifier, CpuidRegister reg) {
  switch (reg) {
    case CpuidRegister::Ebx:
      return modifier.ebx;
    case CpuidRegister::Ecx:
      return modifier.ecx;
    case CpuidRegister::Edx:
      return modifier.edx;
    case CpuidRegister::Eax:
      break;
  }
  return modifier.eax;
}

// What two filters of one register do, one after the other.
void add(arch::BitFilter<std::uint32_t>& into, const arch::BitFilter<std::uint32_t>& later) {
  into.value = later.apply(into.value);
  into.mask |= later.mask;
}

Result<arch::CpuidModifier> parse_leaf(const json::Path& path, const CpuidLeafConfig& config) {
  arch::CpuidModifier modifier;
  MOTE_TRY(modifier.leaf, parse_number(json::Path(path, "leaf"), config.leaf));
  MOTE_TRY(modifier.subleaf, parse_number(json::Path(path, "subleaf"), config.subleaf));
  if ((config.flags & ~kKnownFlags) != 0) {
    return fail(ErrorKind::kInvalid, "{} is {}; it must be 0 to {}, a sum of KVM's CPUID flags",
                json::Path(path, "flags").text(), config.flags, kKnownFlags);
  }
  modifier.flags = config.flags;
  const json::Path list(path, "modifiers");
  for (std::size_t i = 0; i < config.modifiers.size(); ++i) {
    const json::Path place(list, i);
    MOTE_TRY(const auto filter,
             parse_bitmap<std::uint32_t>(json::Path(place, "bitmap"), config.modifiers[i].bitmap));
    add(filter_of(modifier, config.modifiers[i].reg), filter);
  }
  return modifier;
}

Result<arch::MsrModifier> parse_msr(const json::Path& path, const MsrConfig& config) {
  arch::MsrModifier modifier;
  MOTE_TRY(modifier.index, parse_number(json::Path(path, "addr"), config.addr));
  MOTE_TRY(modifier.bits, parse_bitmap<std::uint64_t>(json::Path(path, "bitmap"), config.bitmap));
  return modifier;
}

// Each item of the list `name`, parsed.
template <typename Item, typename Parsed>
Result<void> parse_list(std::string_view name, const std::vector<Item>& items,
                        std::vector<Parsed>& into,
                        Result<Parsed> (*parse_item)(const json::Path& path, const Item& item)) {
  const json::Path document("cpu-config");
  const json::Path list(document, name);
  for (std::size_t i = 0; i < items.size(); ++i) {
    MOTE_TRY(Parsed parsed, parse_item(json::Path(list, i), items[i]));
    into.push_back(std::move(parsed));
  }
  return {};
}

}  // namespace

Result<arch::CpuModifiers> parse(const CpuConfig& config) {
  arch::CpuModifiers modifiers;
  MOTE_CHECK(parse_list<std::string, kvm::CapabilityChange>(
      "kvm_capabilities", config.kvm_capabilities, modifiers.capabilities,
      [](const json::Path& path, const std::string& text) {
        return parse_capability(path, text);
      }));
  MOTE_CHECK(parse_list("cpuid_modifiers", config.cpuid_modifiers, modifiers.cpuid, parse_leaf));
  MOTE_CHECK(parse_list("msr_modifiers", config.msr_modifiers, modifiers.msrs, parse_msr));
  return modifiers;
}

Result<void> check(const CpuConfig& config) {
  MOTE_CHECK(parse(config));
  return {};
}

}  // namespace mote::machine
