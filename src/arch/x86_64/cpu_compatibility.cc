#include "arch/x86_64/cpu_compatibility.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

namespace mote::arch {
namespace {

constexpr std::uint32_t kKvmFeatures = 0x40000001;

struct FeatureWord {
  std::uint32_t leaf;
  std::uint32_t subleaf;
  std::string_view name;
  std::uint32_t kvm_cpuid_entry2::* word;
  std::uint32_t apart;  // bits that are no feature of the processor's, or that KVM always can
};

// Bits apart of leaf 1: MONITOR, x2APIC, TSC deadline, OSXSAVE and the hypervisor's; HTT. Of leaf
// 7: OSPKE. Of 0x80000001: CmpLegacy and topology extensions.
constexpr std::array kWords{
    FeatureWord{0x1, 0, "ecx", &kvm_cpuid_entry2::ecx,
                1U << 3 | 1U << 21 | 1U << 24 | 1U << 27 | 1U << 31},
    FeatureWord{0x1, 0, "edx", &kvm_cpuid_entry2::edx, 1U << 28},
    FeatureWord{0x7, 0, "ebx", &kvm_cpuid_entry2::ebx, 0},
    FeatureWord{0x7, 0, "ecx", &kvm_cpuid_entry2::ecx, 1U << 4},
    FeatureWord{0x7, 0, "edx", &kvm_cpuid_entry2::edx, 0},
    FeatureWord{0x7, 1, "eax", &kvm_cpuid_entry2::eax, 0},
    FeatureWord{0xd, 0, "eax", &kvm_cpuid_entry2::eax, 0},
    FeatureWord{0xd, 0, "edx", &kvm_cpuid_entry2::edx, 0},
    FeatureWord{0xd, 1, "eax", &kvm_cpuid_entry2::eax, 0},
    FeatureWord{kKvmFeatures, 0, "eax", &kvm_cpuid_entry2::eax, 0},
    FeatureWord{0x80000001, 0, "ecx", &kvm_cpuid_entry2::ecx, 1U << 1 | 1U << 22},
    FeatureWord{0x80000001, 0, "edx", &kvm_cpuid_entry2::edx, 0},
    FeatureWord{0x80000008, 0, "ebx", &kvm_cpuid_entry2::ebx, 0},
};

const kvm_cpuid_entry2* find(std::span<const kvm_cpuid_entry2> entries, std::uint32_t leaf,
                             std::uint32_t subleaf) {
  const auto found = std::ranges::find_if(entries, [&](const kvm_cpuid_entry2& entry) {
    return entry.function == leaf && entry.index == subleaf;
  });
  return found == entries.end() ? nullptr : &*found;
}

std::string maker(const kvm_cpuid_entry2& leaf0) {
  std::string text;
  for (const std::uint32_t word : {leaf0.ebx, leaf0.edx, leaf0.ecx}) {
    for (int byte = 0; byte < 4; ++byte) {
      const char c = static_cast<char>(word >> (8 * byte) & 0xff);
      text += c >= ' ' && c <= '~' ? c : '?';
    }
  }
  return text;
}

}  // namespace

std::vector<std::string> missing_features(std::span<const kvm_cpuid_entry2> saved,
                                          std::span<const kvm_cpuid_entry2> supported,
                                          const HostCpuid& host) {
  std::vector<std::string> missing;
  const auto* theirs = find(saved, 0, 0);
  const auto* ours = find(supported, 0, 0);
  if (theirs != nullptr && ours != nullptr && maker(*theirs) != maker(*ours)) {
    missing.push_back(fmt::format("a processor made by {}, not {}", maker(*theirs), maker(*ours)));
  }
  for (const FeatureWord& feature : kWords) {
    const auto* wanted = find(saved, feature.leaf, feature.subleaf);
    if (wanted == nullptr) continue;
    const auto* there = find(supported, feature.leaf, feature.subleaf);
    std::uint32_t lacking = wanted->*feature.word & ~feature.apart;
    if (there != nullptr) lacking &= ~(there->*feature.word);
    // What leaf 0x40000001 says on the host is of a hypervisor below, and not of KVM.
    if (lacking != 0 && feature.leaf != kKvmFeatures) {
      lacking &= ~(host(feature.leaf, feature.subleaf).*feature.word);
    }
    for (; lacking != 0; lacking &= lacking - 1) {
      missing.push_back(
          fmt::format("CPUID leaf {:#x}{} {} bit {}", feature.leaf,
                      feature.subleaf == 0 ? "" : fmt::format(" subleaf {}", feature.subleaf),
                      feature.name, std::countr_zero(lacking)));
    }
  }
  return missing;
}

}  // namespace mote::arch
