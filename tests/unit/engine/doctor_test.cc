#include "engine/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json_describe.h"

namespace mote::engine {
namespace {

using testing::HasSubstr;

HostFacts healthy() {
  return {.kvm_device = Access::kOpen,
          .kvm = {.usability = kvm::Usability::kUsable, .reason = {}, .ring0_mips = 3000},
          .missing_capabilities = {},
          .needed_capabilities = 16,
          .cgroups = Cgroups::kV2,
          .tun = Access::kOpen,
          .huge_pages = 8,
          .free_huge_pages = 8,
          .transparent_huge_pages = "madvise",
          .userfaultfd_for_all = true,
          .userfaultfd_for_user = true,
          .userfaultfd_device = Access::kOpen,
          .landlock_abi = 4,
          .seccomp_filters = true,
          .locked_memory = UINT64_MAX,
          .open_files = 1 << 20};
}

Item item_of(const Diagnosis& diagnosis, std::string_view name) {
  for (const Item& item : diagnosis.items) {
    if (item.name == name) return item;
  }
  ADD_FAILURE() << "no item " << name;
  return {};
}

TEST(Doctor, HealthyHostNeedsNothing) {
  const Diagnosis diagnosis = examine(healthy());
  EXPECT_TRUE(diagnosis.ready);
  EXPECT_EQ(diagnosis.kvm, "usable");
  for (const Item& item : diagnosis.items) {
    EXPECT_EQ(item.state, State::Ok) << item.name;
    EXPECT_EQ(item.advice, "") << item.name;
    EXPECT_NE(item.found, "") << item.name;
  }
  EXPECT_THAT(to_text(diagnosis), HasSubstr("This host runs microVMs."));
}

TEST(Doctor, KvmIsNeededAndItsAdviceFitsTheCause) {
  HostFacts facts = healthy();
  facts.kvm_device = Access::kMissing;
  facts.kvm = {.usability = kvm::Usability::kAbsent, .reason = "none"};
  facts.needed_capabilities = 0;
  Diagnosis diagnosis = examine(facts);
  EXPECT_FALSE(diagnosis.ready);
  EXPECT_EQ(diagnosis.kvm, "absent");
  EXPECT_THAT(item_of(diagnosis, "kvm").advice, HasSubstr("kvm_intel"));

  facts.kvm_device = Access::kForbidden;
  facts.kvm = {.usability = kvm::Usability::kUnusable, .reason = "no permission"};
  EXPECT_THAT(item_of(examine(facts), "kvm").advice, HasSubstr("group kvm"));

  facts.kvm_device = Access::kOpen;
  diagnosis = examine(facts);
  EXPECT_EQ(diagnosis.kvm, "unusable");
  EXPECT_THAT(item_of(diagnosis, "kvm").advice, HasSubstr("lab/lab"));
  EXPECT_THAT(to_text(diagnosis), HasSubstr("does not run microVMs"));
}

TEST(Doctor, MissingCapabilitiesAreNamed) {
  HostFacts facts = healthy();
  facts.missing_capabilities = {"PIT2", "XCRS"};
  const Diagnosis diagnosis = examine(facts);
  EXPECT_FALSE(diagnosis.ready);
  EXPECT_THAT(item_of(diagnosis, "kvm capabilities").found,
              HasSubstr("KVM_CAP_PIT2, KVM_CAP_XCRS"));
}

TEST(Doctor, TheRestIsOptionalAndEachLackHasItsAdvice) {
  const HostFacts facts{.kvm_device = Access::kOpen,
                        .kvm = healthy().kvm,
                        .missing_capabilities = {},
                        .needed_capabilities = 16,
                        .transparent_huge_pages = {}};
  const Diagnosis diagnosis = examine(facts);
  EXPECT_TRUE(diagnosis.ready);
  for (const Item& item : diagnosis.items) {
    if (item.needed) continue;
    EXPECT_NE(item.state, State::Ok) << item.name;
    EXPECT_NE(item.advice, "") << item.name;
  }
}

TEST(Doctor, WhatIsThereInPartIsLimited) {
  HostFacts facts = healthy();
  facts.cgroups = Cgroups::kHybrid;
  facts.tun = Access::kForbidden;
  facts.userfaultfd_for_all = false;
  facts.userfaultfd_device = Access::kForbidden;
  facts.landlock_abi = 1;
  const Diagnosis diagnosis = examine(facts);
  for (const char* name : {"cgroups", "tun", "userfaultfd", "landlock"}) {
    EXPECT_EQ(item_of(diagnosis, name).state, State::Limited) << name;
  }
  facts.userfaultfd_device = Access::kOpen;
  EXPECT_EQ(item_of(examine(facts), "userfaultfd").state, State::Ok);
}

TEST(Doctor, AnswersInJson) {
  const std::string text = json::write(examine(healthy()));
  const auto again = json::read<Diagnosis>(text);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_TRUE(again->ready);
  EXPECT_THAT(text, HasSubstr(R"("state":"ok")"));
}

TEST(Doctor, ThisHostIsLookedAtWithoutHarm) {
  const HostFacts facts = gather_facts();
  EXPECT_GT(facts.open_files, 0U);
  EXPECT_GE(facts.huge_pages, facts.free_huge_pages);
  EXPECT_EQ(facts.kvm.usability == kvm::Usability::kAbsent, facts.kvm_device == Access::kMissing);
}

}  // namespace
}  // namespace mote::engine
