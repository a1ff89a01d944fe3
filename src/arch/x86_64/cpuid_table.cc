#include "arch/x86_64/cpuid_table.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace mote::arch {

CpuidEntry* CpuidTable::find(std::uint32_t leaf, std::uint32_t subleaf) {
  const auto found = std::ranges::find_if(entries_, [=](const CpuidEntry& entry) {
    return entry.function == leaf && entry.index == subleaf;
  });
  return found == entries_.end() ? nullptr : &*found;
}

const CpuidEntry* CpuidTable::find(std::uint32_t leaf, std::uint32_t subleaf) const {
  return const_cast<CpuidTable*>(this)->find(leaf, subleaf);
}

CpuidEntry& CpuidTable::ensure(std::uint32_t leaf) {
  if (CpuidEntry* entry = find(leaf)) return *entry;
  CpuidEntry entry{};
  entry.function = leaf;
  return entries_.emplace_back(entry);
}

void CpuidTable::add(std::uint32_t leaf, std::uint32_t subleaf, const CpuidEntry& registers) {
  CpuidEntry entry = registers;
  entry.function = leaf;
  entry.index = subleaf;
  entry.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
  entries_.push_back(entry);
}

void CpuidTable::erase(std::uint32_t leaf) {
  std::erase_if(entries_, [leaf](const CpuidEntry& entry) { return entry.function == leaf; });
}

std::uint32_t CpuidTable::max_basic() const {
  const CpuidEntry* entry = find(0);
  return entry == nullptr ? 0 : entry->eax;
}

std::uint32_t CpuidTable::max_extended() const {
  const CpuidEntry* entry = find(0x80000000);
  return entry == nullptr ? 0 : entry->eax;
}

CpuVendor CpuidTable::vendor() const {
  const CpuidEntry* entry = find(0);
  if (entry == nullptr) return CpuVendor::kOther;
  std::array<char, 12> letters{};
  std::memcpy(letters.data(), &entry->ebx, 4);
  std::memcpy(letters.data() + 4, &entry->edx, 4);
  std::memcpy(letters.data() + 8, &entry->ecx, 4);
  const std::string_view name(letters.data(), letters.size());
  if (name == "GenuineIntel") return CpuVendor::kIntel;
  // Hygon's processors are AMD's by another name.
  if (name == "AuthenticAMD" || name == "HygonGenuine") return CpuVendor::kAmd;
  return CpuVendor::kOther;
}

}  // namespace mote::arch
