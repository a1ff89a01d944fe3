#include "machine/cpu_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json_describe.h"

namespace mote::machine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

arch::CpuModifiers parsed(std::string_view text) {
  const auto config = json::read<CpuConfig>(text);
  EXPECT_TRUE(config) << (config ? "" : config.error().text());
  auto modifiers = parse(config.value_or(CpuConfig{}));
  EXPECT_TRUE(modifiers) << (modifiers ? "" : modifiers.error().text());
  return modifiers ? std::move(*modifiers) : arch::CpuModifiers{};
}

std::string error_of(std::string_view text) {
  const auto config = json::read<CpuConfig>(text);
  if (!config) return config.error().text();
  const auto result = check(*config);
  return result ? "no error" : result.error().text();
}

std::string error_of_leaf(std::string_view leaf) {
  return error_of(fmt::format(R"({{"cpuid_modifiers":[{}]}})", leaf));
}

// The error of a bitmap of a CPUID register, and of an MSR.
std::string error_of_bitmap(std::string_view bitmap) {
  return error_of_leaf(fmt::format(
      R"({{"leaf":"0x1","subleaf":"0x0","flags":0,"modifiers":[{{"register":"eax","bitmap":"{}"}}]}})",
      bitmap));
}
std::string error_of_msr(std::string_view addr, std::string_view bitmap) {
  return error_of(
      fmt::format(R"({{"msr_modifiers":[{{"addr":"{}","bitmap":"{}"}}]}})", addr, bitmap));
}

TEST(CpuConfig, MayAskForNothing) {
  for (const char* text :
       {"{}", R"({"kvm_capabilities":[],"cpuid_modifiers":[],"msr_modifiers":[]})"}) {
    const arch::CpuModifiers none = parsed(text);
    EXPECT_TRUE(none.capabilities.empty());
    EXPECT_TRUE(none.cpuid.empty());
    EXPECT_TRUE(none.msrs.empty());
  }
}

TEST(CpuConfig, ReadsEveryPart) {
  const arch::CpuModifiers modifiers = parsed(R"({
    "kvm_capabilities": ["!56", "121", "4294967295"],
    "cpuid_modifiers": [
      {"leaf": "0x80000001", "subleaf": "0b11", "flags": 7,
       "modifiers": [{"register": "eax", "bitmap": "0b10x"}, {"register": "ebx", "bitmap": "1"},
                     {"register": "ecx", "bitmap": "0b"}, {"register": "edx", "bitmap": "x_1"}]},
      {"leaf": "0xABCD", "subleaf": "0x0", "flags": 0, "modifiers": []}],
    "msr_modifiers": [{"addr": "0x10a", "bitmap": "0b01xx"}]})");
  EXPECT_THAT(modifiers.capabilities,
              ElementsAre(kvm::CapabilityChange{.number = 56, .needed = false},
                          kvm::CapabilityChange{.number = 121, .needed = true},
                          kvm::CapabilityChange{.number = UINT32_MAX, .needed = true}));
  EXPECT_THAT(modifiers.cpuid, ElementsAre(arch::CpuidModifier{.leaf = 0x80000001,
                                                               .subleaf = 3,
                                                               .flags = 7,
                                                               .eax = {.mask = 6, .value = 4},
                                                               .ebx = {.mask = 1, .value = 1},
                                                               .ecx = {},
                                                               .edx = {.mask = 1, .value = 1}},
                                           arch::CpuidModifier{.leaf = 0xabcd}));
  EXPECT_THAT(modifiers.msrs,
              ElementsAre(arch::MsrModifier{.index = 0x10a, .bits = {.mask = 0xc, .value = 0x4}}));
}

TEST(CpuConfig, TheLastFilterOfARegisterCounts) {
  const arch::CpuModifiers modifiers = parsed(R"({"cpuid_modifiers":[
      {"leaf":"0x1","subleaf":"0x0","flags":0,
       "modifiers":[{"register":"edx","bitmap":"0b0011"},{"register":"edx","bitmap":"0bx10x"}]}]})");
  EXPECT_EQ(modifiers.cpuid.at(0).edx, (arch::BitFilter<std::uint32_t>{.mask = 15, .value = 5}));
}

TEST(CpuConfig, ABitmapHasAsManyBitsAsItsRegister) {
  const std::string ones(32, '1');
  EXPECT_EQ(error_of_bitmap(ones), "no error");
  EXPECT_EQ(error_of_bitmap("0b" + ones), "no error");
  EXPECT_EQ(error_of_bitmap("0b1111_1111_1111_1111_xxxx_xxxx_0000_0000"), "no error");
  EXPECT_THAT(error_of_bitmap("0b1" + ones),
              StartsWith("cpuid_modifiers[0].modifiers[0].bitmap is \"0b1"));
  EXPECT_THAT(error_of_bitmap("0bx" + ones), HasSubstr("it must be at most 32 letters 0, 1 or x"));
  EXPECT_EQ(error_of_msr("0x0", "0b" + ones + ones), "no error");
  EXPECT_THAT(error_of_msr("0x0", "0bx" + ones + ones), HasSubstr("at most 64 letters"));
}

TEST(CpuConfig, RefusesOtherLettersInABitmap) {
  for (const char* bitmap : {"0b2", "0b01_xX", "0b 1", "0b0b1", "b1", "-1", "0B1", "?"}) {
    EXPECT_THAT(error_of_bitmap(bitmap), HasSubstr("bitmap is")) << bitmap;
    EXPECT_THAT(error_of_msr("0x0", bitmap), StartsWith("msr_modifiers[0].bitmap is")) << bitmap;
  }
}

TEST(CpuConfig, ANumberHasItsBaseAndFits) {
  for (const char* number :
       {"1", "", "0x", "0b", "0x100000000", "0b2", "0xg", "x1", "-0x1", "0x-1", "0x+1", "0x 1",
        "0X1", "0x1 ", "0b111111111111111111111111111111111"}) {
    EXPECT_THAT(error_of_msr(number, "0b1"), StartsWith("msr_modifiers[0].addr is")) << number;
    const auto leaf = [number](const char* name, const char* other) {
      return error_of_leaf(
          fmt::format(R"({{"{}":"{}","{}":"0x0","flags":0,"modifiers":[]}})", name, number, other));
    };
    EXPECT_THAT(leaf("leaf", "subleaf"), StartsWith("cpuid_modifiers[0].leaf is")) << number;
    EXPECT_THAT(leaf("subleaf", "leaf"), StartsWith("cpuid_modifiers[0].subleaf is")) << number;
  }
  EXPECT_EQ(error_of_msr("0xffffffff", "0b1"), "no error");
}

TEST(CpuConfig, RefusesWrongLeaves) {
  EXPECT_THAT(error_of_leaf("{}"), HasSubstr("cpuid_modifiers[0].leaf is missing"));
  EXPECT_THAT(error_of_leaf(R"({"leaf":1,"subleaf":"0x0","flags":0,"modifiers":[]})"),
              HasSubstr("cpuid_modifiers[0].leaf is the number 1"));
  EXPECT_THAT(error_of_leaf(R"({"leaf":"0x1","subleaf":"0x0","flags":0})"),
              HasSubstr("modifiers is missing"));
  EXPECT_THAT(error_of_leaf(R"({"leaf":"0x1","subleaf":"0x0","flags":-1,"modifiers":[]})"),
              HasSubstr("flags is the number -1"));
  EXPECT_EQ(error_of_leaf(R"({"leaf":"0x1","subleaf":"0x0","flags":8,"modifiers":[]})"),
            "cpuid_modifiers[0].flags is 8; it must be 0 to 7, a sum of KVM's CPUID flags");
  for (const char* reg : {"EAX", "Eax", "rax", ""}) {
    EXPECT_THAT(error_of_leaf(fmt::format(R"({{"leaf":"0x1","subleaf":"0x0","flags":0,)"
                                          R"("modifiers":[{{"register":"{}","bitmap":"0b1"}}]}})",
                                          reg)),
                HasSubstr(R"(register is the string)"))
        << reg;
  }
}

TEST(CpuConfig, RefusesWrongCapabilities) {
  for (const char* capability :
       {"x", "-1", "+1", "4294967296", "0x1", "", "!", "!!1", "1!", "! 1", "!-1"}) {
    EXPECT_THAT(error_of(fmt::format(R"({{"kvm_capabilities":["{}"]}})", capability)),
                StartsWith("kvm_capabilities[0] is"))
        << capability;
  }
  EXPECT_THAT(error_of(R"({"kvm_capabilities":[1]})"), HasSubstr("must be a string"));
}

TEST(CpuConfig, RefusesWhatItDoesNotKnow) {
  for (const char* text : {R"({"zzz":1})", R"({"reg_modifiers":[]})", R"({"vcpu_features":[]})",
                           R"({"KVM_CAPABILITIES":[]})",
                           R"({"msr_modifiers":[{"addr":"0x1","bitmap":"0b1","z":1}]})"}) {
    EXPECT_THAT(error_of(text), HasSubstr("is not a known field")) << text;
  }
  for (const char* name : {"kvm_capabilities", "cpuid_modifiers", "msr_modifiers"}) {
    for (const char* value : {"null", "{}", "\"x\"", "1", "[null]", "[1]", "[[]]"}) {
      EXPECT_NE(error_of(fmt::format(R"({{"{}":{}}})", name, value)), "no error") << name << value;
    }
  }
}

}  // namespace
}  // namespace mote::machine
