// CPU templates as a guest sees them, and how a machine ends whose template does not fit the host.

#include <gmock/gmock.h>

#include "bare_test.h"

namespace mote::bare {
namespace {

using testing::HasSubstr;

std::string cpu_config(std::string_view text) { return fmt::format(R"(, "cpu-config": {})", text); }

std::string leaf_modifier(std::string_view leaf, std::string_view reg, std::string_view bitmap) {
  return fmt::format(
      R"({{"leaf": "{}", "subleaf": "0x0", "flags": 0, "modifiers": [{{"register": "{}", "bitmap": "{}"}}]}})",
      leaf, reg, bitmap);
}

class CpuTemplateTest : public BareTest {
 protected:
  // What CPUID says to a guest with these sections.
  std::string cpuid(const std::string& sections) const {
    return output_of({.guest = "cpuid", .sections = sections});
  }
  std::map<std::uint64_t, std::uint64_t> msrs(const std::string& sections,
                                              unsigned vcpus = 1) const {
    std::map<std::uint64_t, std::uint64_t> values;
    const std::string output = output_of({.guest = "rdmsr", .vcpus = vcpus, .sections = sections});
    for (const Fields& line : lines_with(output, "msr=")) {
      values[number(line, "msr")] = number(line, "high") << 32 | number(line, "low");
    }
    return values;
  }
  // What the monitor says of a machine with this cpu_template.
  std::string templated(std::string_view name) const {
    const Outcome outcome =
        run({.guest = "cpuid", .machine_fields = fmt::format(R"(, "cpu_template": "{}")", name)});
    return outcome.errors + log();
  }
  // What the monitor says of a machine that it refuses.
  std::string refusal_of(const std::string& sections) const {
    const Outcome outcome = run({.guest = "cpuid", .sections = sections});
    EXPECT_EQ(outcome.ending.text(), "exit 1");
    EXPECT_EQ(outcome.output.find("leaf="), std::string::npos) << "the guest did not run";
    return outcome.errors + log();
  }
};

TEST_F(CpuTemplateTest, ACustomOneChangesWhatTheGuestsCpuidSays) {
  const std::string plain = cpuid("");
  // Another stepping; without LAHF in 64-bit mode and LZCNT; the rest is the host's.
  const std::string changed = cpuid(cpu_config(
      fmt::format(R"({{"cpuid_modifiers": [{}, {}]}})", leaf_modifier("0x1", "eax", "0b0101"),
                  leaf_modifier("0x80000001", "ecx", "0b0x_xxx0"))));
  const auto value = [](const std::string& output, std::string_view leaf, const char* reg) {
    return number(line_with(output, fmt::format("leaf={} ", leaf)), reg);
  };
  EXPECT_EQ(value(changed, "00000001", "eax"), (value(plain, "00000001", "eax") & ~0xfULL) | 5);
  EXPECT_EQ(value(changed, "00000001", "ecx"), value(plain, "00000001", "ecx"));
  const std::uint64_t features = value(plain, "80000001", "ecx");
  EXPECT_NE(features & 0x21, 0) << "there was something to hide";
  EXPECT_EQ(value(changed, "80000001", "ecx"), features & ~0x21ULL);
  EXPECT_EQ(value(changed, "80000001", "edx"), value(plain, "80000001", "edx"));
}

TEST_F(CpuTemplateTest, OneThatAsksForNothingChangesNothing) {
  EXPECT_EQ(cpuid(cpu_config("{}")), cpuid(""));
}

TEST_F(CpuTemplateTest, ACustomOneChangesMsrs) {
  const auto plain = msrs("");
  // Bits of the microcode's revision, and of an MSR that mote sets itself.
  const auto changed =
      msrs(cpu_config(R"({"msr_modifiers": [{"addr": "0x8b", "bitmap": "0b1010_xxxx_0001"},)"
                      R"({"addr": "0x174", "bitmap": "0b1010"}]})"),
           2);
  EXPECT_EQ(changed.at(0x8b), (plain.at(0x8b) & ~0xf0fULL) | 0xa01);
  EXPECT_EQ(changed.at(0x174), 10);
  EXPECT_EQ(changed.at(0x1a0), plain.at(0x1a0));
  EXPECT_EQ(changed.at(0x2ff), plain.at(0x2ff));
}

TEST_F(CpuTemplateTest, RefusesWhatTheHostLacksByItsNumber) {
  EXPECT_THAT(refusal_of(cpu_config(fmt::format(R"({{"cpuid_modifiers": [{}]}})",
                                                leaf_modifier("0x7fffffff", "eax", "0b1")))),
              HasSubstr("CPUID leaf 0x7fffffff, subleaf 0x0"));
  EXPECT_THAT(
      refusal_of(cpu_config(R"({"msr_modifiers": [{"addr": "0xffffffff", "bitmap": "0b1"}]})")),
      HasSubstr("MSR 0xffffffff"));
  EXPECT_THAT(refusal_of(cpu_config(R"({"kvm_capabilities": ["4294967295"]})")),
              HasSubstr("capability 4294967295"));
}

TEST_F(CpuTemplateTest, ACapabilityThatIsNotNeededIsNotAskedFor) {
  // XCRs; a number that is nobody's, wanted and then not.
  EXPECT_EQ(cpuid(cpu_config(R"({"kvm_capabilities": ["!56", "9999", "!9999"]})")), cpuid(""));
}

TEST_F(CpuTemplateTest, ANamedOneIsRefusedOnAProcessorThatItIsNotFor) {
  // No processor is of both makers.
  const std::string t2cl = templated("T2CL");
  const std::string t2a = templated("T2A");
  EXPECT_TRUE(t2cl.find("cpu_template T2CL is for Intel's processors") != std::string::npos ||
              t2a.find("cpu_template T2A is for AMD's processors") != std::string::npos)
      << t2cl << t2a;
}

}  // namespace
}  // namespace mote::bare
