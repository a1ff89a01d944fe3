// Programs say of any call what the first of its rules says that holds: against rules that are read
// one after the other, for random rules and calls and for those that mote-vmm has.
#include "isolation/seccomp/decision.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <random>

#include "isolation/seccomp/assemble.h"
#include "isolation/seccomp/built_in_tables.h"
#include "isolation/seccomp/compile.h"
#include "isolation_seccomp/run_program.h"

namespace mote::seccomp::test {
namespace {

using Random = std::mt19937_64;

std::uint64_t below(Random& random, std::uint64_t end) {
  return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random);
}

bool holds(const Condition& condition, const std::uint64_t (&arguments)[6]) {
  const std::uint64_t bits = condition.wide ? ~std::uint64_t{0} : 0xffffffff;
  const std::uint64_t found = arguments[condition.argument] & bits;
  const std::uint64_t value = condition.value & bits;
  switch (condition.op) {
    case Condition::Op::kEqual:
      return found == value;
    case Condition::Op::kNotEqual:
      return found != value;
    case Condition::Op::kLess:
      return found < value;
    case Condition::Op::kAtMost:
      return found <= value;
    case Condition::Op::kAtLeast:
      return found >= value;
    case Condition::Op::kGreater:
      return found > value;
    case Condition::Op::kMasked:
      return ((found ^ value) & condition.mask & bits) == 0;
  }
  return false;
}

// By the rules as they stand there.
Action action_of(const ThreadRules& thread, const std::string& call,
                 const std::uint64_t (&arguments)[6]) {
  for (const bool often : {true, false}) {
    for (const Rule& rule : thread.rules) {
      if (rule.often != often || rule.call != call) continue;
      if (std::ranges::all_of(rule.conditions,
                              [&](const Condition& it) { return holds(it, arguments); }))
        return rule.action;
    }
  }
  return thread.otherwise;
}

std::uint32_t returned(const Action& action) {
  if (action.kind == Action::Kind::kErrno) return SECCOMP_RET_ERRNO | action.data;
  return action.kind == Action::Kind::kAllow ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP;
}

// Numbers that meet each other often.
std::uint64_t some_value(Random& random) {
  constexpr std::uint64_t kEdges[]{0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
  std::uint64_t value = below(random, 4) == 0 ? kEdges[below(random, 5)] : below(random, 12);
  if (below(random, 3) == 0) value |= below(random, 3) << 32;
  return value;
}

ThreadRules some_rules(Random& random) {
  constexpr const char* kCalls[]{"read", "write", "ioctl", "futex", "openat"};
  ThreadRules thread{.name = "t", .otherwise = {}, .rules = {}};
  for (std::uint64_t count = below(random, 24); count > 0; --count) {
    Rule rule;
    rule.call = kCalls[below(random, 5)];
    rule.action = {.kind = Action::Kind::kAllow};
    rule.often = below(random, 8) == 0;
    if (below(random, 5) == 0) {
      const auto code = static_cast<std::uint16_t>(1 + below(random, 2));
      rule.action = {.kind = Action::Kind::kErrno, .data = code};
    }
    for (std::uint64_t conditions = below(random, 4); conditions > 0; --conditions) {
      rule.conditions.push_back({.argument = static_cast<std::uint8_t>(below(random, 3)),
                                 .op = static_cast<Condition::Op>(below(random, 7)),
                                 .wide = below(random, 3) == 0,
                                 .mask = some_value(random),
                                 .value = some_value(random)});
    }
    thread.rules.push_back(std::move(rule));
  }
  return thread;
}

void expect_same(const ThreadRules& thread, Program program, const std::string& call,
                 const std::uint64_t (&a)[6]) {
  EXPECT_EQ(run(program, call, {a[0], a[1], a[2], a[3], a[4], a[5]}),
            returned(action_of(thread, call, a)))
      << call << " " << a[0] << " " << a[1] << " " << a[2];
}

TEST(Decision, RandomRulesAreAsIfReadOneAfterTheOther) {
  Random random(1);
  for (int round = 0; round < 400; ++round) {
    const ThreadRules thread = some_rules(random);
    const auto program = compile(thread, native_architecture());
    ASSERT_TRUE(program) << program.error().text();
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t arguments[6]{some_value(random), some_value(random), some_value(random)};
      constexpr const char* kCalls[]{"read", "write", "ioctl", "futex", "openat", "close"};
      expect_same(thread, *program, kCalls[below(random, 6)], arguments);
    }
    if (HasFailure()) return;
  }
}

// What a rule claims, and a bit or a number beside it.
TEST(Decision, MoteVmmsRulesAreAsIfReadOneAfterTheOther) {
  const auto rules = built_in_rules();
  ASSERT_TRUE(rules) << rules.error().text();
  Random random(2);
  for (const ThreadRules& thread : *rules) {
    const auto program = compile(thread, native_architecture());
    ASSERT_TRUE(program) << program.error().text();
    for (const Rule& rule : thread.rules) {
      for (int i = 0; i < 64; ++i) {
        std::uint64_t arguments[6]{};
        for (const Condition& condition : rule.conditions) {
          std::uint64_t& argument = arguments[condition.argument];
          argument = condition.value;
          if (condition.op == Condition::Op::kMasked) argument |= random() & ~condition.mask;
          const std::uint64_t change = below(random, 6);
          if (change == 0) argument ^= std::uint64_t{1} << below(random, 64);
          if (change == 1) argument += below(random, 3) - 1;
        }
        expect_same(thread, *program, rule.call, arguments);
      }
    }
    for (int number = -1; number < 1024; ++number) {
      const bool known = std::ranges::any_of(
          thread.rules, [&](const Rule& rule) { return rule.call == resolve_call(number); });
      if (known) continue;
      seccomp_data data{};
      data.nr = number;
      data.arch = AUDIT_ARCH_X86_64;
      EXPECT_EQ(run(*program, data), static_cast<std::uint32_t>(SECCOMP_RET_TRAP))
          << thread.name << " " << number;
    }
  }
}

// Jumps reach 255 instructions; what is further away is reached by hops.
TEST(Decision, ALongProgramReachesItsEnds) {
  ThreadRules thread{.name = "t", .otherwise = {}, .rules = {}};
  for (std::uint64_t i = 0; i < 600; ++i) {
    for (const char* call : {"ioctl", "read"}) {
      Rule rule;
      rule.call = call;
      rule.action = {.kind = Action::Kind::kErrno, .data = static_cast<std::uint16_t>(1 + i)};
      rule.conditions.push_back({.argument = 1, .value = 7 * i});
      thread.rules.push_back(std::move(rule));
    }
  }
  const auto program = compile(thread, native_architecture());
  ASSERT_TRUE(program) << program.error().text();
  EXPECT_GT(program->size(), 1200U);
  for (std::uint64_t i = 0; i < 4200; ++i) {
    const std::uint64_t arguments[6]{0, i};
    expect_same(thread, *program, "read", arguments);
    expect_same(thread, *program, "ioctl", arguments);
  }
}

TEST(Decision, WhatIsTooMuchIsRefused) {
  Rule rule;
  rule.call = "read";
  rule.action = {.kind = Action::Kind::kAllow};
  rule.place = "f:1";
  for (int i = 0; i < 40; ++i) rule.conditions.push_back({.op = Condition::Op::kAtLeast});
  ThreadRules thread{.name = "t", .otherwise = {}, .rules = {rule}};
  const auto more_than_it_compares = compile(thread, native_architecture());
  ASSERT_FALSE(more_than_it_compares);
  EXPECT_TRUE(more_than_it_compares.error().text().starts_with("f:1"));
  thread.rules.front().conditions.assign(12,
                                         {.op = Condition::Op::kGreater, .wide = true, .value = 5});
  EXPECT_FALSE(compile(thread, native_architecture()));
  // More than there is room for.
  thread.rules.clear();
  for (std::uint64_t i = 0; i < 5000; ++i) {
    rule.conditions.assign(1, {.value = 2 * i});
    thread.rules.push_back(rule);
  }
  EXPECT_FALSE(compile(thread, native_architecture()));
}

TEST(Decision, WhatIsAlikeIsThereOnce) {
  Decision decision;
  const auto allow = decision.end(SECCOMP_RET_ALLOW);
  EXPECT_EQ(decision.end(SECCOMP_RET_ALLOW), allow);
  EXPECT_EQ(decision.ask({.word = 16, .value = 3}, allow, allow), allow);
  const auto trap = decision.end(SECCOMP_RET_TRAP);
  const auto asked = decision.ask({.word = 16, .value = 3}, allow, trap);
  EXPECT_EQ(decision.ask({.word = 16, .value = 3}, allow, trap), asked);
  EXPECT_EQ(assemble(decision, asked).size(), 4U);
}

}  // namespace
}  // namespace mote::seccomp::test
