// What of a vCPU's state can be told without KVM.
#include "arch/x86_64/vcpu_state.h"

#include <gtest/gtest.h>

namespace mote::arch {
namespace {

using Cpuid = std::vector<kvm_cpuid_entry2>;

const Cpuid kGiven{{.function = 0, .eax = 0xd},
                   {.function = 1, .eax = 0x800f12, .ebx = 7, .ecx = 0xf, .edx = 0xff},
                   {.function = 7, .index = 0, .flags = 1, .ebx = 3, .ecx = 0},
                   {.function = 7, .index = 1, .flags = 1},
                   {.function = 0xd, .index = 0, .flags = 1, .eax = 7, .ebx = 576},
                   {.function = 0xd, .index = 1, .flags = 1, .eax = 1, .ebx = 576},
                   {.function = 0xd, .index = 2, .flags = 1, .eax = 256, .ebx = 576}};

TEST(SameCpuid, WhatTheGuestEnabledIsNoDifference) {
  EXPECT_TRUE(is_same_cpuid(kGiven, kGiven));
  Cpuid later = kGiven;
  later[1].ecx |= 1U << 27;  // OSXSAVE
  later[2].ecx |= 1U << 4;   // OSPKE
  later[4].ebx = later[5].ebx = 832;
  EXPECT_TRUE(is_same_cpuid(kGiven, later));
  EXPECT_TRUE(is_same_cpuid(later, kGiven));
}

TEST(SameCpuid, AllElseIs) {
  for (std::size_t leaf = 0; leaf < kGiven.size(); ++leaf) {
    for (const auto field :
         {&kvm_cpuid_entry2::function, &kvm_cpuid_entry2::index, &kvm_cpuid_entry2::flags,
          &kvm_cpuid_entry2::eax, &kvm_cpuid_entry2::edx}) {
      Cpuid other = kGiven;
      other[leaf].*field ^= 0x10000;
      EXPECT_FALSE(is_same_cpuid(kGiven, other)) << leaf;
    }
  }
  Cpuid other = kGiven;
  other[1].ebx ^= 1;
  EXPECT_FALSE(is_same_cpuid(kGiven, other));
  other = kGiven;
  other[3].ecx |= 1U << 4;  // OSPKE's bit in another leaf
  EXPECT_FALSE(is_same_cpuid(kGiven, other));
  other = kGiven;
  other[6].ebx = 832;  // where a part lies
  EXPECT_FALSE(is_same_cpuid(kGiven, other));
  EXPECT_FALSE(is_same_cpuid(kGiven, std::span(kGiven).first(6)));
  EXPECT_FALSE(is_same_cpuid({}, kGiven));
}

TEST(TscDeadline, OfATimerThatWasDueIsNow) {
  const auto deadline_of = [](std::uint64_t deadline) {
    std::vector<kvm_msr_entry> msrs{{.index = kMsrTscDeadline, .data = deadline},
                                    {.index = kMsrTsc, .data = 1000}};
    mend_tsc_deadline(msrs);
    EXPECT_EQ(msrs[1].data, 1000U);
    return msrs[0].data;
  };
  EXPECT_EQ(deadline_of(0), 1000U);
  EXPECT_EQ(deadline_of(5), 5U) << "one that has passed fires anyway";
  EXPECT_EQ(deadline_of(2000), 2000U);
  std::vector<kvm_msr_entry> without{{.index = kMsrTsc, .data = 1000}};
  mend_tsc_deadline(without);
  EXPECT_EQ(without.size(), 1U);
}

}  // namespace
}  // namespace mote::arch
