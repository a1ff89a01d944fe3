// A saved guest's CPUID against what another host's KVM can give.
#include "arch/x86_64/cpu_compatibility.h"

#include <gtest/gtest.h>

namespace mote::arch {
namespace {

using Leaves = std::vector<kvm_cpuid_entry2>;

Leaves leaves() {
  return {{.function = 0, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65},
          {.function = 1, .ecx = 0xf, .edx = 0xff},
          {.function = 7, .index = 0, .ebx = 0x10, .ecx = 0x20},
          {.function = 7, .index = 1, .eax = 0x1},
          {.function = 0x40000001, .eax = 0x3}};
}

// A host of whose processor KVM tells all.
CpuidEntry nothing(std::uint32_t, std::uint32_t) { return {}; }

TEST(CpuCompatibility, TheSameOrMoreIsEnough) {
  EXPECT_TRUE(missing_features(leaves(), leaves(), nothing).empty());
  Leaves more = leaves();
  for (auto& leaf : more) leaf.edx |= leaf.function == 0 ? 0 : 0xf00;
  EXPECT_TRUE(missing_features(leaves(), more, nothing).empty());
  EXPECT_TRUE(missing_features({}, leaves(), nothing).empty());
}

TEST(CpuCompatibility, EachFeatureThatIsLackingIsNamed) {
  Leaves host = leaves();
  host[1].edx = 0xfe;
  host[2].ebx = 0;
  host.erase(host.begin() + 3);
  host[3].eax = 1;
  EXPECT_EQ(missing_features(leaves(), host, nothing),
            (std::vector<std::string>{"CPUID leaf 0x1 edx bit 0", "CPUID leaf 0x7 ebx bit 4",
                                      "CPUID leaf 0x7 subleaf 1 eax bit 0",
                                      "CPUID leaf 0x40000001 eax bit 1"}));
}

TEST(CpuCompatibility, WhatTheProcessorHasAndKvmDoesNotTellIsThere) {
  Leaves host = leaves();
  host[2].ebx = 0;
  const auto processor = [](std::uint32_t leaf, std::uint32_t) {
    CpuidEntry entry{};
    if (leaf == 7) entry.ebx = 0x10;
    return entry;
  };
  EXPECT_TRUE(missing_features(leaves(), host, processor).empty());
}

TEST(CpuCompatibility, WhatIsNoFeatureOfTheProcessorsDoesNotCount) {
  Leaves guest = leaves();
  guest[1].ecx |= 1U << 31 | 1U << 27 | 1U << 24 | 1U << 21;
  guest[1].edx |= 1U << 28;
  guest[2].ecx |= 1U << 4;
  guest[1].ebx = 0x01020304;
  EXPECT_TRUE(missing_features(guest, leaves(), nothing).empty());
}

TEST(CpuCompatibility, AnotherMakersProcessorComesFirst) {
  Leaves host = leaves();
  host[0].ebx = 0x756e6547;
  host[0].edx = 0x49656e69;
  host[0].ecx = 0x6c65746e;
  EXPECT_EQ(missing_features(leaves(), host, nothing),
            std::vector<std::string>{"a processor made by AuthenticAMD, not GenuineIntel"});
}

}  // namespace
}  // namespace mote::arch
