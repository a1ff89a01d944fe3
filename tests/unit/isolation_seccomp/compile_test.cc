// Programs do what their rules say.
#include "isolation/seccomp/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>

#include "isolation_seccomp/run_program.h"

namespace mote::seccomp::test {
namespace {

using ::testing::HasSubstr;

Result<OwnedProgram> made_of(std::string_view text,
                             Architecture architecture = native_architecture()) {
  Tables tables(architecture);
  MOTE_CHECK(tables.add(text, "t"));
  MOTE_TRY(const RuleSet rules, tables.finish());
  return compile(rules.front(), architecture);
}

constexpr std::uint64_t kHigh = std::uint64_t{7} << 32;

TEST(Compile, HalfAnArgumentIsComparedByItself) {
  struct Case {
    const char* condition;
    std::vector<std::uint64_t> allowed, refused;
  };
  const std::vector<Case> cases{
      {"5", {5, 5 + kHigh}, {4, 6, kHigh}},
      {"!= 5", {0, 4, 6, 0xffffffff, 6 + kHigh}, {5, 5 + kHigh}},
      {"!= 0", {1, 0xffffffff}, {0, kHigh}},
      {"!= 0xffffffff", {0, 0xfffffffe}, {0xffffffff}},
      {"< 5", {0, 4, 4 + kHigh}, {5, 6, 0xffffffff}},
      {"<= 5", {0, 5, kHigh}, {6, 0xffffffff}},
      {"> 5", {6, 0xffffffff, 6 + kHigh}, {0, 5, 5 + kHigh}},
      {">= 5", {5, 0xffffffff}, {0, 4, 4 + kHigh}},
      {">= 0", {0, 0xffffffff, kHigh}, {}},
      {"<= 0xffffffff", {0, 0xffffffff}, {}},
      {"in 3", {0, 1, 2, 3, 3 + kHigh}, {4, 7}},
      {"& 0xf0 = 0x10", {0x10, 0x1f, 0x110}, {0, 0x20, 0x30}},
      {"long 5", {5}, {5 + kHigh, 4}},
      {"long >= 0x700000000", {kHigh, kHigh + 1}, {0, 0xffffffff}},
      {"long in 3", {0, 3}, {4, kHigh}},
  };
  for (const Case& one : cases) {
    const auto program = made_of(fmt::format("[a]\nread({}) : x", one.condition));
    ASSERT_TRUE(program) << one.condition << program.error().text();
    for (const auto value : one.allowed)
      EXPECT_TRUE(allows(*program, "read", {value})) << one.condition << " " << value;
    for (const auto value : one.refused)
      EXPECT_FALSE(allows(*program, "read", {value})) << one.condition << " " << value;
  }
}

TEST(Compile, AllArgumentsOfOneRuleHold) {
  const auto program = made_of("[a]\nread(1 or 2, _, 3) : x\nread(9) : y\n");
  ASSERT_TRUE(program);
  EXPECT_TRUE(allows(*program, "read", {1, 77, 3}));
  EXPECT_TRUE(allows(*program, "read", {9, 77, 4}));
  EXPECT_FALSE(allows(*program, "read", {1, 77, 4}));
  EXPECT_FALSE(allows(*program, "write", {1, 77, 3}));
}

TEST(Compile, WhatIsOftenIsLookedAtFirst) {
  const auto program = made_of("[a]\nread : x\noften ioctl(_, 0xae80, 1) : x\nwrite : x\n");
  ASSERT_TRUE(program);
  EXPECT_TRUE(allows(*program, "ioctl", {3, 0xae80, 1}));
  EXPECT_FALSE(allows(*program, "ioctl", {3, 0xae80, 2}));
  EXPECT_FALSE(allows(*program, "ioctl", {3, 0xae81, 1}));
  EXPECT_TRUE(allows(*program, "read"));
  EXPECT_TRUE(allows(*program, "write"));
  // The architecture, the number, two arguments.
  EXPECT_LE(steps(*program, "ioctl", {3, 0xae80, 1}), 10U);
  EXPECT_EQ(run(*program, seccomp_data{.nr = 16, .arch = AUDIT_ARCH_I386, .args = {3, 0xae80, 1}}),
            static_cast<std::uint32_t>(SECCOMP_RET_TRAP));
}

// The kernel goes through it for each number there is when it takes it.
TEST(Compile, TheWayToANumberIsShort) {
  std::string text = "[a]\n";
  for (int number = 0; number < 330; number += 3) text += resolve_call(number) + " : x\n";
  const auto program = made_of(text);
  ASSERT_TRUE(program) << program.error().text();
  for (int number = 0; number < 330; number += 3)
    EXPECT_LE(steps(*program, resolve_call(number)), 14U) << number;
}

TEST(Compile, ActionsAreTheKernels) {
  const auto program = made_of("[a]\nread -> EPERM : x\nwrite -> kill : x\nclose -> log : x\n");
  ASSERT_TRUE(program);
  EXPECT_EQ(run(*program, "read"), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(run(*program, "write"), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(run(*program, "close"), SECCOMP_RET_LOG);
  EXPECT_EQ(run(*program, "openat"), static_cast<std::uint32_t>(SECCOMP_RET_TRAP));
}

TEST(Compile, AnotherArchitectureHasItsOwnNumbers) {
  const auto program = made_of("[a]\nread : x\n", Architecture::kAarch64);
  ASSERT_TRUE(program) << program.error().text();
  EXPECT_EQ(run(*program, seccomp_data{.nr = 63, .arch = AUDIT_ARCH_AARCH64}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run(*program, seccomp_data{.nr = 63, .arch = AUDIT_ARCH_X86_64}),
            static_cast<std::uint32_t>(SECCOMP_RET_TRAP));
}

TEST(Compile, RulesThatCannotBeAreRefused) {
  EXPECT_THAT(made_of("[a]\nnosuchcall : x").error().text(), HasSubstr("no system call of x86_64"));
  EXPECT_THAT(made_of("[a]\nepoll_wait : x", Architecture::kAarch64).error().text(),
              HasSubstr("no system call of aarch64"));
  EXPECT_THAT(made_of("[a]\nread -> trap : x").error().text(), HasSubstr("of every call already"));
}

TEST(Compile, NamesOfCallsEnd) {
  EXPECT_EQ(resolve_call(highest_call() + 1), "");
  EXPECT_NE(resolve_call(highest_call()), "");
}

}  // namespace
}  // namespace mote::seccomp::test
