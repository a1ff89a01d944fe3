#include "engine/production.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/json_describe.h"
#include "temp_dir.h"

namespace mote::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ProductionFacts careful() {
  return {.smt = "forceoff",
          .smt_active = false,
          .core_scheduling = true,
          .vulnerabilities = {{"mds", "Mitigation: Clear CPU buffers; SMT disabled"}},
          .ksm = 0,
          .swaps = {},
          .kvm_parameters = {{"kvm.ignore_msrs", "N"}, {"kvm_intel.nested", "N"}},
          .sysctls = {{"kernel.kptr_restrict", 2}, {"kernel.yama.ptrace_scope", 1}},
          .cgroup_controllers = "cpuset cpu io memory hugetlb pids",
          .kvm_for_everyone = false,
          .core_size = 0,
          .open_files = 1 << 20};
}

Item item_of(const ProductionFacts& facts, std::string_view name) {
  for (const Item& item : examine_production(facts)) {
    if (item.name == name) return item;
  }
  ADD_FAILURE() << "no item " << name;
  return {};
}

TEST(Production, ACarefulHostNeedsNothing) {
  for (const Item& item : examine_production(careful())) {
    EXPECT_EQ(item.state, State::Ok) << item.name;
    EXPECT_EQ(item.advice, "") << item.name;
    EXPECT_NE(item.found, "") << item.name;
  }
  const Diagnosis diagnosis = with_production({.ready = true, .kvm = {}, .safe = {}, .items = {}},
                                              examine_production(careful()));
  EXPECT_EQ(diagnosis.safe, true);
  EXPECT_THAT(to_text(diagnosis), HasSubstr("Nothing here lets one microVM reach another"));
}

TEST(Production, SiblingsOfACoreAreUnsafeWithoutCoreScheduling) {
  ProductionFacts facts = careful();
  facts.smt = "on";
  facts.smt_active = true;
  EXPECT_EQ(item_of(facts, "smt").state, State::Limited);
  facts.core_scheduling = false;
  EXPECT_EQ(item_of(facts, "smt").state, State::Unsafe);
  EXPECT_THAT(item_of(facts, "smt").advice, HasSubstr("nosmt"));
}

TEST(Production, OpenHolesOfTheProcessorAreNamed) {
  ProductionFacts facts = careful();
  facts.vulnerabilities["spec_store_bypass"] = "Vulnerable";
  facts.vulnerabilities["l1tf"] = "Mitigation: PTE Inversion; VMX: SMT vulnerable";
  const Item item = item_of(facts, "mitigations");
  EXPECT_EQ(item.state, State::Unsafe);
  EXPECT_THAT(item.found, HasSubstr("spec_store_bypass"));
  EXPECT_THAT(item.found, HasSubstr("l1tf"));
  EXPECT_THAT(item.found, testing::Not(HasSubstr("mds")));
  facts.vulnerabilities.clear();
  EXPECT_EQ(item_of(facts, "mitigations").state, State::Limited);
}

TEST(Production, WhatSharesOrKeepsPagesIsSaid) {
  ProductionFacts facts = careful();
  facts.ksm = 1;
  EXPECT_EQ(item_of(facts, "ksm").state, State::Unsafe);
  facts.ksm = 2;  // unmerged and off
  EXPECT_EQ(item_of(facts, "ksm").state, State::Ok);
  facts.swaps = {"/dev/sda2", "/swap"};
  EXPECT_EQ(item_of(facts, "swap").state, State::Limited);
  EXPECT_THAT(item_of(facts, "swap").found, HasSubstr("/dev/sda2, /swap"));
}

TEST(Production, ParametersOfKvmThatWeakenAreNamedAndTheWorstDecides) {
  ProductionFacts facts = careful();
  facts.kvm_parameters["kvm_amd.nested"] = "1";
  EXPECT_EQ(item_of(facts, "kvm parameters").state, State::Limited);
  facts.kvm_parameters["kvm.enable_vmware_backdoor"] = "Y";
  const Item item = item_of(facts, "kvm parameters");
  EXPECT_EQ(item.state, State::Unsafe);
  EXPECT_THAT(item.found, HasSubstr("kvm_amd.nested=1"));
  EXPECT_THAT(item.advice, HasSubstr("kvm.enable_vmware_backdoor=0"));
}

TEST(Production, SysctlsOutOfTheirRangeComeWithTheCommand) {
  ProductionFacts facts = careful();
  facts.sysctls = {{"kernel.kptr_restrict", 0}, {"vm.unprivileged_userfaultfd", 1}};
  const Item item = item_of(facts, "sysctls");
  EXPECT_EQ(item.state, State::Limited);
  EXPECT_EQ(item.advice, "sysctl kernel.kptr_restrict=1 vm.unprivileged_userfaultfd=0");
}

TEST(Production, LimitsRightsAndControllers) {
  ProductionFacts facts = careful();
  facts.cgroup_controllers = "cpu memory";
  EXPECT_EQ(item_of(facts, "controllers").state, State::Unsafe);
  EXPECT_THAT(item_of(facts, "controllers").found, HasSubstr("pids, io"));
  facts.cgroup_controllers = "cpu memory blkio pids";  // v1
  EXPECT_EQ(item_of(facts, "controllers").state, State::Ok);
  facts.core_size = UINT64_MAX;
  facts.open_files = 1024;
  EXPECT_THAT(item_of(facts, "limits").advice, HasSubstr("ulimit -c 0"));
  EXPECT_THAT(item_of(facts, "limits").advice, HasSubstr("ulimit -n"));
  facts.kvm_for_everyone = true;
  EXPECT_EQ(item_of(facts, "/dev/kvm").state, State::Limited);
}

class FakeHost : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ + path).substr(0, (root_ + path).rfind('/')));
    std::ofstream(root_ + path) << text;
  }

  mote::test::TempDir directory_;
  std::string root_ = directory_.path();
};

TEST_F(FakeHost, FactsAreReadFromProcAndSys) {
  write("/sys/devices/system/cpu/smt/control", "on\n");
  write("/sys/devices/system/cpu/smt/active", "1\n");
  write("/sys/devices/system/cpu/vulnerabilities/mds", "Vulnerable; SMT vulnerable\n");
  write("/sys/kernel/mm/ksm/run", "1\n");
  write("/proc/swaps", "Filename\tType\n/dev/sda2   partition 1 2\n/swap file 3 4\n");
  write("/sys/module/kvm/parameters/ignore_msrs", "Y\n");
  write("/sys/module/kvm_intel/parameters/nested", "N\n");
  write("/proc/sys/kernel/yama/ptrace_scope", "0\n");
  write("/proc/sys/kernel/perf_event_paranoid", "-1\n");
  write("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
  write("/dev/kvm", "");
  ASSERT_EQ(::chmod((root_ + "/dev/kvm").c_str(), 0666), 0);

  const ProductionFacts facts = gather_production_facts(root_);
  EXPECT_EQ(facts.smt, "on");
  EXPECT_TRUE(facts.smt_active);
  EXPECT_EQ(facts.vulnerabilities.at("mds"), "Vulnerable; SMT vulnerable");
  EXPECT_EQ(facts.ksm, 1U);
  EXPECT_THAT(facts.swaps, ElementsAre("/dev/sda2", "/swap"));
  EXPECT_EQ(facts.kvm_parameters.at("kvm.ignore_msrs"), "Y");
  EXPECT_EQ(facts.kvm_parameters.at("kvm_intel.nested"), "N");
  EXPECT_EQ(facts.sysctls.at("kernel.yama.ptrace_scope"), 0);
  EXPECT_EQ(facts.sysctls.at("kernel.perf_event_paranoid"), -1);
  EXPECT_EQ(facts.cgroup_controllers, "cpu memory");
  EXPECT_TRUE(facts.kvm_for_everyone);
}

TEST_F(FakeHost, NothingToReadIsNoFault) {
  const ProductionFacts facts = gather_production_facts(root_);
  EXPECT_EQ(facts.smt, "");
  EXPECT_TRUE(facts.vulnerabilities.empty());
  EXPECT_TRUE(facts.swaps.empty());
  EXPECT_TRUE(facts.sysctls.empty());
  write("/proc/swaps", "");
  EXPECT_TRUE(gather_production_facts(root_).swaps.empty());
  write("/proc/swaps", "Filename\tType");
  EXPECT_TRUE(gather_production_facts(root_).swaps.empty());
}

TEST(Production, IsPartOfTheDiagnosisInJson) {
  ProductionFacts facts = careful();
  facts.ksm = 1;
  const Diagnosis diagnosis = with_production({.ready = true, .kvm = {}, .safe = {}, .items = {}},
                                              examine_production(facts));
  EXPECT_EQ(diagnosis.safe, false);
  const std::string text = json::write(diagnosis);
  EXPECT_THAT(text, HasSubstr(R"("safe":false)"));
  EXPECT_THAT(text, HasSubstr(R"("state":"unsafe")"));
}

}  // namespace
}  // namespace mote::engine
