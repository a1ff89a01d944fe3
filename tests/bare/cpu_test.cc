// The processors as a guest sees them: CPUID, and the others' start through the local APIC.

#include <cpuid.h>

#include "bare_test.h"

namespace mote::bare {
namespace {

struct Leaf {
  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
};

Leaf host_leaf(std::uint32_t leaf, std::uint32_t subleaf) {
  Leaf values;
  __cpuid_count(leaf, subleaf, values.eax, values.ebx, values.ecx, values.edx);
  return values;
}

class CpuTest : public BareTest {
 protected:
  void look(unsigned vcpus) {
    for (const Fields& line : lines_with(output_of({.guest = "cpuid", .vcpus = vcpus}), "leaf=")) {
      leaves_[{number(line, "leaf"), number(line, "subleaf")}] = {
          .eax = static_cast<std::uint32_t>(number(line, "eax")),
          .ebx = static_cast<std::uint32_t>(number(line, "ebx")),
          .ecx = static_cast<std::uint32_t>(number(line, "ecx")),
          .edx = static_cast<std::uint32_t>(number(line, "edx"))};
    }
    ASSERT_FALSE(leaves_.empty());
  }
  Leaf leaf(std::uint64_t number, std::uint64_t subleaf = 0) const {
    const auto found = leaves_.find({number, subleaf});
    return found == leaves_.end() ? Leaf{} : found->second;
  }

  void expect_cpus(unsigned vcpus) const {
    const std::string output =
        output_of({.guest = "smp", .vcpus = vcpus, .boot_args = fmt::format("cpus={}", vcpus)});
    const Fields line = line_with(output, "cpus=");
    EXPECT_EQ(number(line, "cpus"), vcpus) << output;
    std::string ids;
    for (unsigned id = 0; id < vcpus; ++id) ids += fmt::format("{:02x},", id);
    EXPECT_EQ(line.at("ids"), ids);
  }

 private:
  std::map<std::pair<std::uint64_t, std::uint64_t>, Leaf> leaves_;
};

TEST_F(CpuTest, IsTheHostsMakerUnderKvm) {
  look(1);
  const Leaf host = host_leaf(0, 0);
  EXPECT_EQ(leaf(0).ebx, host.ebx);
  EXPECT_EQ(leaf(0).ecx, host.ecx);
  EXPECT_EQ(leaf(0).edx, host.edx);
  EXPECT_GE(leaf(0x40000000).eax, 0x40000001);
  EXPECT_EQ(leaf(0x40000000).ebx, 0x4b4d564b) << "\"KVMK\"";
  EXPECT_NE(leaf(0x40000001).eax & 1U << 3, 0) << "kvmclock";
  EXPECT_NE(leaf(1).ecx & 1U << 31, 0) << "the hypervisor bit";
}

TEST_F(CpuTest, HasNoFeatureThatTheHostLacks) {
  look(1);
  constexpr std::uint32_t kEmulated = 1U << 21 | 1U << 24;  // x2APIC and the TSC deadline timer
  constexpr std::uint32_t kState = 1U << 27 | 1U << 31;  // OSXSAVE follows CR4; the hypervisor bit
  const Leaf basic = host_leaf(1, 0);
  EXPECT_EQ(leaf(1).ecx & ~(basic.ecx | kEmulated | kState), 0);
  EXPECT_EQ(leaf(1).edx & ~basic.edx, 0);
  EXPECT_EQ(leaf(7).ebx & ~(host_leaf(7, 0).ebx | 1U << 1), 0) << "TSC_ADJUST is KVM's own";
}

TEST_F(CpuTest, HidesNestedVirtualisationAndPerformanceCounters) {
  look(1);
  EXPECT_EQ(leaf(1).ecx & 1U << 5, 0) << "VMX";
  EXPECT_EQ(leaf(0x80000001).ecx & 1U << 2, 0) << "SVM";
  EXPECT_EQ(leaf(0xa).eax & 0xff, 0) << "architectural performance monitoring";
}

TEST_F(CpuTest, TopologyLeavesCountTheCpus) {
  for (const unsigned vcpus : {1U, 4U, 6U}) {
    look(vcpus);
    EXPECT_EQ(leaf(1).ebx >> 24, 0) << "the first processor's APIC id";
    if (leaf(0).eax >= 0xb) {
      EXPECT_EQ(leaf(0xb, 1).ebx & 0xffff, vcpus) << "logical processors of the package";
      EXPECT_EQ(leaf(0xb, 0).ecx >> 8 & 0xff, 1) << "first level: SMT";
      EXPECT_EQ(leaf(0xb, 1).ecx >> 8 & 0xff, 2) << "second level: core";
      EXPECT_GE(1U << (leaf(0xb, 1).eax & 31), vcpus) << "APIC ids fit into the package's shift";
      EXPECT_EQ(leaf(0xb, 0).edx, 0) << "the first processor's x2APIC id";
    }
  }
}

TEST_F(CpuTest, StartsOne) { expect_cpus(1); }
TEST_F(CpuTest, StartsTwo) { expect_cpus(2); }
TEST_F(CpuTest, StartsEight) { expect_cpus(8); }
TEST_F(CpuTest, StartsThirtyTwo) { expect_cpus(32); }

}  // namespace
}  // namespace mote::bare
