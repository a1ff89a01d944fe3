// What each CPU template with a name does to a processor that has every bit, and to one that has
// none: the two say of each bit whether it is set, cleared or left alone.

#include "arch/x86_64/static_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <set>

namespace mote::arch {
namespace {

using testing::HasSubstr;
using Registers = std::array<std::uint32_t, 4>;  // EAX, EBX, ECX, EDX

constexpr std::uint32_t kAll = ~0U;
constexpr std::array kTemplates = {StaticTemplate::kC3, StaticTemplate::kT2, StaticTemplate::kT2S,
                                   StaticTemplate::kT2CL, StaticTemplate::kT2A};

struct Expected {
  StaticTemplate of;
  std::uint32_t leaf;
  std::uint32_t subleaf;
  std::uint32_t flags;
  Registers of_ones;
  Registers of_zeros;
};

constexpr std::array<Expected, 29> kExpected = {{
    {StaticTemplate::kC3,
     0x1,
     0,
     0,
     {0xf003c6e4, kAll, 0xffbf22c3, 0x579bffff},
     {0x000306e4, 0, 0x00000000, 0x00001080}},
    {StaticTemplate::kC3,
     0x7,
     0,
     1,
     {kAll, 0x005022c3, 0xbfbeb7e1, 0xfffffff3},
     {0, 0x00000000, 0x00000000, 0x00000000}},
    {StaticTemplate::kC3, 0xd, 0, 1, {0xfffffd07, kAll, kAll, kAll}, {0x00000000, 0, 0, 0}},
    {StaticTemplate::kC3, 0xd, 1, 1, {0xfffffff1, kAll, kAll, kAll}, {0x00000000, 0, 0, 0}},
    {StaticTemplate::kC3,
     0x80000001,
     0,
     0,
     {kAll, kAll, 0xfffffedf, 0xfbffffff},
     {0, 0, 0x00000000, 0x00000000}},
    {StaticTemplate::kT2,
     0x1,
     0,
     0,
     {0xf003c6f2, kAll, 0xfffb3203, 0x179bffff},
     {0x000306f2, 0, 0x00000000, 0x00001080}},
    {StaticTemplate::kT2,
     0x7,
     0,
     1,
     {kAll, 0x001027eb, 0xbfbea0a1, 0xfffffee3},
     {0, 0x00000200, 0x00000000, 0x00000000}},
    {StaticTemplate::kT2, 0xd, 0, 1, {0xfffffd07, kAll, kAll, kAll}, {0x00000000, 0, 0, 0}},
    {StaticTemplate::kT2, 0xd, 1, 1, {0xfffffff1, kAll, kAll, kAll}, {0x00000000, 0, 0, 0}},
    {StaticTemplate::kT2,
     0x80000001,
     0,
     0,
     {kAll, kAll, 0xdffffeff, 0xfbffffff},
     {0, 0, 0x00000000, 0x00000000}},
    {StaticTemplate::kT2, 0x80000008, 0, 0, {kAll, 0xfffffdff, kAll, kAll}, {0, 0x00000000, 0, 0}},
    {StaticTemplate::kT2S,
     0x1,
     0,
     0,
     {0xf003c6f2, kAll, 0xfffb3203, 0x179bffff},
     {0x000306f2, 0, 0x00000000, 0x00001080}},
    {StaticTemplate::kT2S,
     0x7,
     0,
     1,
     {kAll, 0x001027eb, 0xbfbea0a1, 0xfffffee3},
     {0, 0x00000200, 0x00000000, 0x00000000}},
    {StaticTemplate::kT2S, 0xd, 0, 1, {0xfffffd07, kAll, kAll, kAll}, {0x00000000, 0, 0, 0}},
    {StaticTemplate::kT2S, 0xd, 1, 1, {0xfffffff1, kAll, kAll, kAll}, {0x00000000, 0, 0, 0}},
    {StaticTemplate::kT2S,
     0x80000001,
     0,
     0,
     {kAll, kAll, 0xdffffeff, 0xfbffffff},
     {0, 0, 0x00000000, 0x00000000}},
    {StaticTemplate::kT2S, 0x80000008, 0, 0, {kAll, 0xfffffdff, kAll, kAll}, {0, 0x00000000, 0, 0}},
    {StaticTemplate::kT2CL,
     0x1,
     0,
     0,
     {0xf003c6f2, kAll, 0xfffb3203, 0x179bffff},
     {0x000306f2, 0, 0x00000000, 0x00001080}},
    {StaticTemplate::kT2CL,
     0x7,
     0,
     1,
     {kAll, 0x001027eb, 0xbfbea0a1, 0xfffffee3},
     {0, 0x00000200, 0x00000000, 0x00000000}},
    {StaticTemplate::kT2CL, 0xd, 0, 1, {0xfffffd07, kAll, kAll, kAll}, {0x00000000, 0, 0, 0}},
    {StaticTemplate::kT2CL, 0xd, 1, 1, {0xfffffff1, kAll, kAll, kAll}, {0x00000000, 0, 0, 0}},
    {StaticTemplate::kT2CL,
     0x80000001,
     0,
     0,
     {kAll, kAll, 0xdffffe3f, 0xf83fffff},
     {0, 0, 0x00000000, 0x00000000}},
    {StaticTemplate::kT2CL,
     0x80000008,
     0,
     0,
     {kAll, 0xfffffdff, kAll, kAll},
     {0, 0x00000000, 0, 0}},
    {StaticTemplate::kT2A,
     0x1,
     0,
     0,
     {0xf003c6f2, kAll, 0xfffb3203, 0x179bffff},
     {0x000306f2, 0, 0x00000000, 0x00001080}},
    {StaticTemplate::kT2A,
     0x7,
     0,
     1,
     {kAll, 0x001027eb, 0xbfbea0a1, 0xfffffee3},
     {0, 0x00000200, 0x00000000, 0x00000000}},
    {StaticTemplate::kT2A, 0xd, 0, 1, {0xfffffd07, kAll, kAll, kAll}, {0x00000000, 0, 0, 0}},
    {StaticTemplate::kT2A, 0xd, 1, 1, {0xfffffff1, kAll, kAll, kAll}, {0x00000000, 0, 0, 0}},
    {StaticTemplate::kT2A,
     0x80000001,
     0,
     0,
     {kAll, kAll, 0xdffffe3b, 0xf9bfffff},
     {0, 0, 0x00000000, 0x00000000}},
    {StaticTemplate::kT2A, 0x80000008, 0, 0, {kAll, 0xfffffdfe, kAll, kAll}, {0, 0x001c0004, 0, 0}},
}};

struct ExpectedMsr {
  StaticTemplate of;
  std::uint32_t index;
  std::uint64_t of_ones;
  std::uint64_t of_zeros;
};

constexpr std::array<ExpectedMsr, 2> kExpectedMsrs = {{
    {StaticTemplate::kT2S, 0x10a, 0x000000000c0a0c4c, 0x000000000c0a0c4c},
    {StaticTemplate::kT2CL, 0x10a, 0x000000001d0ae1ff, 0x0000000000000000},
}};

std::vector<CpuidEntry> leaves_with(std::uint32_t value) {
  std::vector<CpuidEntry> leaves;
  for (const auto& [leaf, subleaf] : std::initializer_list<std::pair<std::uint32_t, std::uint32_t>>{
           {0x1, 0}, {0x7, 0}, {0xd, 0}, {0xd, 1}, {0x80000001, 0}, {0x80000008, 0}}) {
    leaves.push_back({.function = leaf,
                      .index = subleaf,
                      .flags = 0,
                      .eax = value,
                      .ebx = value,
                      .ecx = value,
                      .edx = value,
                      .padding = {}});
  }
  return leaves;
}

Registers registers_of(std::span<const CpuidEntry> leaves, const Expected& expected) {
  for (const CpuidEntry& entry : leaves) {
    if (entry.function == expected.leaf && entry.index == expected.subleaf) {
      EXPECT_EQ(entry.flags, expected.flags);
      return {entry.eax, entry.ebx, entry.ecx, entry.edx};
    }
  }
  return {};
}

TEST(StaticTemplate, ChangesTheBitsOfItsLeaves) {
  for (const StaticTemplate each : kTemplates) {
    auto ones = leaves_with(kAll);
    auto zeros = leaves_with(0);
    const CpuModifiers modifiers = modifiers_of(each);
    ASSERT_TRUE(modify(modifiers.cpuid, ones));
    ASSERT_TRUE(modify(modifiers.cpuid, zeros));
    std::size_t leaves = 0;
    for (const Expected& expected : kExpected) {
      if (expected.of != each) continue;
      ++leaves;
      SCOPED_TRACE(fmt::format("template {}, leaf {:#x}", static_cast<int>(each), expected.leaf));
      EXPECT_EQ(registers_of(ones, expected), expected.of_ones);
      EXPECT_EQ(registers_of(zeros, expected), expected.of_zeros);
    }
    EXPECT_EQ(modifiers.cpuid.size(), leaves) << "no other leaf";
    EXPECT_TRUE(modifiers.capabilities.empty());
  }
}

TEST(StaticTemplate, ChangesWhichFlawsTheProcessorTellsOf) {
  for (const StaticTemplate each : kTemplates) {
    const CpuModifiers modifiers = modifiers_of(each);
    std::size_t msrs = 0;
    for (const ExpectedMsr& expected : kExpectedMsrs) {
      if (expected.of != each) continue;
      ++msrs;
      std::array values = {kvm_msr_entry{.index = expected.index, .reserved = 0, .data = ~0ULL}};
      ASSERT_TRUE(modify(modifiers.msrs, values));
      EXPECT_EQ(values[0].data, expected.of_ones);
      values[0].data = 0;
      ASSERT_TRUE(modify(modifiers.msrs, values));
      EXPECT_EQ(values[0].data, expected.of_zeros);
    }
    EXPECT_EQ(modifiers.msrs.size(), msrs);
  }
}

std::vector<CpuidEntry> processor(std::string_view maker, std::uint32_t signature) {
  auto leaves = leaves_with(0);
  leaves[0].eax = signature;
  CpuidEntry entry{};
  std::memcpy(&entry.ebx, maker.data(), 4);
  std::memcpy(&entry.edx, maker.data() + 4, 4);
  std::memcpy(&entry.ecx, maker.data() + 8, 4);
  leaves.push_back(entry);
  return leaves;
}

TEST(StaticTemplate, IsForTheProcessorsItWasMadeFor) {
  constexpr std::string_view kIntel = "GenuineIntel";
  constexpr std::string_view kAmd = "AuthenticAMD";
  struct Processor {
    std::string_view maker;
    std::uint32_t signature;
    std::set<StaticTemplate> templates;
  };
  using enum StaticTemplate;
  for (const auto& [maker, signature, templates] : std::initializer_list<Processor>{
           {kIntel, 0x50654, {kC3, kT2, kT2S}},         // Skylake
           {kIntel, 0x50657, {kC3, kT2, kT2S, kT2CL}},  // Cascade Lake
           {kIntel, 0x606a6, {kC3, kT2, kT2CL}},        // Ice Lake
           {kIntel, 0xf00606a6, {kC3, kT2, kT2CL}},     // ... with bits that mean nothing
           {kIntel, 0x806f8, {}},                       // Sapphire Rapids
           {kIntel, 0x50656, {}},                       // another stepping
           {kIntel, 0xa00f11, {}},
           {kAmd, 0xa00f11, {kT2A}},  // Milan
           {kAmd, 0xa10f11, {}},      // Genoa
           {kAmd, 0x606a6, {}},
           {"SomebodyElse", 0x606a6, {}},
       }) {
    for (const StaticTemplate each : kTemplates) {
      const auto allowed = check_processor(each, processor(maker, signature));
      EXPECT_EQ(allowed.has_value(), templates.contains(each))
          << maker << std::hex << signature << " template " << static_cast<int>(each);
    }
  }
}

TEST(StaticTemplate, SaysWhichProcessorsItIsForAndWhichThisIs) {
  const auto refused = check_processor(StaticTemplate::kT2CL, processor("AuthenticAMD", 0xa00f11));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(
      refused.error().text(),
      "cpu_template T2CL is for Intel's processors Cascade Lake (0x50657), Ice Lake (0x606a6); "
      "this host's is of AMD, with signature 0xa00f11");
  EXPECT_FALSE(check_processor(StaticTemplate::kT2, {})) << "a KVM that tells nothing";
}

TEST(CpuModifiers, AnAbsentLeafIsNamed) {
  auto leaves = leaves_with(kAll);
  const std::array absent = {CpuidModifier{.leaf = 0x7, .subleaf = 2}};
  const auto refused = modify(absent, leaves);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(refused.error().text(), HasSubstr("CPUID leaf 0x7, subleaf 0x2"));
}

TEST(CpuModifiers, AnAbsentMsrIsNamed) {
  std::array values = {kvm_msr_entry{.index = 0x10, .reserved = 0, .data = 7}};
  const std::array modifiers = {MsrModifier{.index = 0x10, .bits = {.mask = 3, .value = 1}},
                                MsrModifier{.index = 0xc0000103}};
  const auto refused = modify(modifiers, values);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("MSR 0xc0000103"));
  EXPECT_EQ(values[0].data, 5);
}

TEST(CpuModifiers, ApplyInOrder) {
  auto leaves = leaves_with(0);
  const std::array modifiers = {
      CpuidModifier{.leaf = 0x1, .flags = 1, .eax = {.mask = 0xff, .value = 0x0f}},
      CpuidModifier{.leaf = 0x1, .flags = 0, .eax = {.mask = 0x0c, .value = 0x00}}};
  ASSERT_TRUE(modify(modifiers, leaves));
  EXPECT_EQ(leaves[0].eax, 0x03);
  EXPECT_EQ(leaves[0].flags, 0);
}

}  // namespace
}  // namespace mote::arch
