#include "arch/x86_64/msrs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

namespace mote::arch {
namespace {

TEST(BootMsrs, AreDistinctAndZeroButThree) {
  std::set<std::uint32_t> seen;
  for (const kvm_msr_entry& entry : boot_msrs()) {
    EXPECT_TRUE(seen.insert(entry.index).second) << entry.index;
    if (entry.index == 0x1a0) {
      EXPECT_EQ(entry.data, 1U) << "fast strings";
    } else if (entry.index == 0x2ff) {
      EXPECT_EQ(entry.data, 0x806U) << "MTRRs on, write-back by default";
    } else {
      EXPECT_EQ(entry.data, 0U) << entry.index;
    }
  }
  for (const std::uint32_t index : {0x10U, 0x174U, 0x175U, 0x176U, 0x1a0U, 0x2ffU, 0xc0000081U,
                                    0xc0000082U, 0xc0000083U, 0xc0000084U, 0xc0000102U}) {
    EXPECT_TRUE(seen.contains(index)) << std::hex << index;
  }
}

TEST(MsrsToSave, KeepsTheGuestsStateInOrder) {
  // TSC, KVM's clock and steal time, system calls, TSC_AUX, PAT, TSC deadline and adjust.
  const std::array<std::uint32_t, 9> wanted = {
      0x10, 0x4b564d00, 0x4b564d01, 0x4b564d03, 0xc0000082, 0xc0000103, 0x277, 0x6e0, 0x3b};
  const auto saved = msrs_to_save(wanted);
  ASSERT_GE(saved.size(), wanted.size());
  EXPECT_TRUE(std::ranges::equal(wanted, std::span(saved).first(wanted.size())));
}

TEST(MsrsToSave, LeavesOutWhatTheGuestDoesNotHave) {
  // Counters, VMX, SVM, Hyper-V, Processor Trace, feature control, SMM.
  const std::array<std::uint32_t, 12> unwanted = {0xc1,  0x186,      0x38f,      0x480,
                                                  0x491, 0xc0010117, 0x40000000, 0x40000118,
                                                  0x570, 0x3a,       0x9e,       0xc0010200};
  for (const std::uint32_t index : msrs_to_save(unwanted)) {
    EXPECT_EQ(std::ranges::find(unwanted, index), unwanted.end()) << std::hex << index;
  }
}

TEST(MsrsToSave, AddsMtrrsOnce) {
  const std::array<std::uint32_t, 2> listed = {0x2ff, 0x10};
  const auto saved = msrs_to_save(listed);
  const std::set<std::uint32_t> distinct(saved.begin(), saved.end());
  EXPECT_EQ(distinct.size(), saved.size());
  for (const std::uint32_t index : {0x200U, 0x20fU, 0x250U, 0x259U, 0x26fU, 0x2ffU}) {
    EXPECT_TRUE(distinct.contains(index)) << std::hex << index;
  }
}

TEST(MsrsToSave, AddsWhatATemplateChangesOnce) {
  const std::array<std::uint32_t, 2> listed = {0x10, 0x8b};
  const std::array<std::uint32_t, 3> more = {0x8b, 0x10, 0x8b};
  const auto saved = msrs_to_save(listed, more);
  EXPECT_EQ(std::ranges::count(saved, 0x8bU), 1) << "also one that is left out otherwise";
  EXPECT_EQ(std::ranges::count(saved, 0x10U), 1);
}

}  // namespace
}  // namespace mote::arch
