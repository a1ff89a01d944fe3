// The language in which tables are written.
#include "isolation/seccomp/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace mote::seccomp::test {
namespace {

using ::testing::HasSubstr;

Result<RuleSet> parse(std::string_view text, Architecture architecture = Architecture::kX86_64) {
  Tables tables(architecture);
  MOTE_CHECK(tables.add(text, "t"));
  return tables.finish();
}

std::string error_of(std::string_view text) {
  const auto parsed = parse(text);
  return parsed ? "none" : parsed.error().text();
}

TEST(Rules, ALineIsACallItsArgumentsAndItsReason) {
  const auto set = parse(
      "# a comment\n\n[vcpu]\n"
      "  often ioctl(_, 0xae80)  : enters the guest\n"
      "mmap(_, _, in PROT_READ|PROT_WRITE, long <= 4) : memory\n"
      "clone3 -> ENOSYS : goes on to clone\n"
      "x(& 0xff = 3) : masked\n");
  ASSERT_TRUE(set) << set.error().text();
  ASSERT_EQ(set->size(), 1U);
  const auto& rules = set->front().rules;
  ASSERT_EQ(rules.size(), 4U);
  EXPECT_TRUE(rules[0].often);
  EXPECT_EQ(rules[0].call, "ioctl");
  EXPECT_EQ(rules[0].reason, "enters the guest");
  EXPECT_EQ(rules[0].place, "t:4");
  EXPECT_EQ(rules[0].conditions, (std::vector<Condition>{{.argument = 1, .value = 0xae80}}));
  const Condition in{.argument = 2,
                     .op = Condition::Op::kMasked,
                     .mask = 0xffffffff & ~std::uint64_t{PROT_READ | PROT_WRITE}};
  const Condition most{.argument = 3, .op = Condition::Op::kAtMost, .wide = true, .value = 4};
  EXPECT_EQ(rules[1].conditions, (std::vector<Condition>{in, most}));
  EXPECT_EQ(rules[2].action, (Action{.kind = Action::Kind::kErrno, .data = ENOSYS}));
  EXPECT_EQ(rules[3].conditions,
            (std::vector<Condition>{{.op = Condition::Op::kMasked, .mask = 0xff, .value = 3}}));
}

TEST(Rules, AlternativesAreRulesOfTheirOwn) {
  const auto set = parse("[a]\nf(1 or 2, _, 3 or 4 or 5) : some\n");
  ASSERT_TRUE(set) << set.error().text();
  EXPECT_EQ(set->front().rules.size(), 6U);
}

TEST(Rules, AnotherArchitectureIsAColumn) {
  constexpr std::string_view kText =
      "[a]\nx86_64 epoll_wait : events\naarch64 epoll_pwait : events\n";
  EXPECT_EQ(parse(kText)->front().rules.front().call, "epoll_wait");
  EXPECT_EQ(parse(kText, Architecture::kAarch64)->front().rules.front().call, "epoll_pwait");
}

TEST(Rules, SectionsAddUpAndIncludeOthers) {
  const auto set =
      parse("[a b]\nf : both\n[setup + a b]\ng : first\n[a]\nh : one\n[b]\nh : the same again\n");
  ASSERT_TRUE(set) << set.error().text();
  const auto count = [&](std::string_view name) {
    return std::ranges::find(*set, name, &ThreadRules::name)->rules.size();
  };
  EXPECT_EQ(count("a"), 2U);
  EXPECT_EQ(count("b"), 2U);
  // What two of them have is there once.
  EXPECT_EQ(count("setup"), 3U);
}

TEST(Rules, WhatIsWrongIsSaidWithItsPlace) {
  EXPECT_THAT(error_of("f : no thread"), HasSubstr("t:1: a rule comes after the [THREAD]"));
  EXPECT_THAT(error_of("[a]\nf"), HasSubstr("t:2: it lacks its reason"));
  EXPECT_THAT(error_of("[a\nf : x"), HasSubstr("t:1: the line lacks its ]"));
  EXPECT_THAT(error_of("[]\n"), HasSubstr("name no thread"));
  EXPECT_THAT(error_of("[a/b]\n"), HasSubstr("no name of a thread"));
  EXPECT_THAT(error_of("[a]\nf(NOBODY) : x"), HasSubstr("neither a number nor a name"));
  EXPECT_THAT(error_of("[a]\nf(1 : x"), HasSubstr("lack their )"));
  EXPECT_THAT(error_of("[a]\nf(1,,2) : x"), HasSubstr("argument 1 is empty"));
  EXPECT_THAT(error_of("[a]\nf(_, _, _, _, _, _, 1) : x"), HasSubstr("at most 6"));
  EXPECT_THAT(error_of("[a]\nf -> explode : x"), HasSubstr("nothing that becomes of a call"));
  EXPECT_THAT(error_of("[a]\nf g : x"), HasSubstr("no name of a system call"));
  EXPECT_THAT(error_of("[a + b]\nf : x"), HasSubstr("includes \"b\", which there is not"));
  EXPECT_THAT(error_of("[a + a]\nf : x"), HasSubstr("includes itself"));
  EXPECT_THAT(error_of("[a]\nf(18446744073709551616) : x"), HasSubstr("neither a number"));
  std::string many = "[a]\nf(1";
  for (int i = 0; i < 300; ++i) many += " or " + std::to_string(i);
  EXPECT_THAT(error_of(many + ") : x"), HasSubstr("more than 256 rules"));
}

TEST(Rules, NamesAreThoseOfTheKernelAsCSeesThem) {
  // In C++ its struct has another size, and so the request another number.
  EXPECT_EQ(*value_of("KVM_GET_SUPPORTED_CPUID"), 0xc008ae05U);
  EXPECT_EQ(*value_of("PROT_READ|PROT_WRITE"), 3U);
  EXPECT_EQ(*value_of("0x10|1"), 0x11U);
  EXPECT_FALSE(value_of(""));
  EXPECT_FALSE(value_of("1|"));
}

}  // namespace
}  // namespace mote::seccomp::test
