#include "isolation/seccomp/compile.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>

#include <cstdlib>
#include <map>
#include <memory>

#include "isolation/seccomp/assemble.h"
#include "isolation/seccomp/decision.h"

namespace mote::seccomp {
namespace {

std::uint32_t token_of(Architecture architecture) {
  return architecture == Architecture::kX86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;
}

// What a filter returns for it.
std::uint32_t verdict_of(const Action& action) {
  switch (action.kind) {
    case Action::Kind::kAllow:
      return SECCOMP_RET_ALLOW;
    case Action::Kind::kTrap:
      return SECCOMP_RET_TRAP;
    case Action::Kind::kKillThread:
      return SECCOMP_RET_KILL_THREAD;
    case Action::Kind::kKillProcess:
      return SECCOMP_RET_KILL_PROCESS;
    case Action::Kind::kLog:
      return SECCOMP_RET_LOG;
    case Action::Kind::kErrno:
      return SECCOMP_RET_ERRNO | action.data;
    case Action::Kind::kTrace:
      return SECCOMP_RET_TRACE | action.data;
  }
  return SECCOMP_RET_TRAP;
}

Result<std::uint32_t> number_of(const Rule& rule, Architecture architecture) {
  const int number = ::seccomp_syscall_resolve_name_arch(token_of(architecture), rule.call.c_str());
  if (number >= 0) return static_cast<std::uint32_t>(number);
  return fail(ErrorKind::kInvalid, "{}: '{}' is no system call of {}", rule.place, rule.call,
              name_of(architecture));
}

// What the rules for one call say.
struct CallRules {
  const Rule* first = nullptr;
  std::vector<Case> cases = {};
  bool compares_often = false;
};

Result<std::map<std::uint32_t, CallRules>> sort_by_number(const ThreadRules& thread,
                                                          Architecture architecture) {
  std::map<std::uint32_t, CallRules> calls;
  for (const Rule& rule : thread.rules) {
    MOTE_TRY(const std::uint32_t number, number_of(rule, architecture));
    if (rule.action == thread.otherwise) {
      return fail(ErrorKind::kInvalid, "{}: what becomes of {} becomes of every call already",
                  rule.place, rule.call);
    }
    CallRules& call = calls[number];
    if (call.first == nullptr) call.first = &rule;
    // The kernel itself knows the calls that are allowed whatever their arguments are.
    call.compares_often = call.compares_often || (rule.often && !rule.conditions.empty());
    auto claims = claims_of(rule.conditions);
    if (!claims) return std::unexpected(std::move(claims.error()).within(rule.place));
    for (Claims& list : *claims) {
      call.cases.push_back(
          {.claims = std::move(list), .verdict = verdict_of(rule.action), .often = rule.often});
    }
  }
  return calls;
}

}  // namespace

Result<OwnedProgram> compile(const ThreadRules& thread, Architecture architecture) {
  MOTE_TRY(const auto calls, sort_by_number(thread, architecture));
  Decision decision;
  const Decision::Node otherwise = decision.end(verdict_of(thread.otherwise));
  std::vector<Decision::Call> by_number;
  for (const auto& [number, call] : calls) {
    auto node = decision.choose(call.cases, otherwise);
    if (!node) {
      return std::unexpected(
          std::move(node.error())
              .within(fmt::format("{}: {}", call.first->place, call.first->call)));
    }
    by_number.push_back({.number = number, .node = *node, .often = call.compares_often});
  }
  const Decision::Node numbers = decision.by_number(by_number, otherwise);
  const Decision::Node root = decision.ask(
      {.word = offsetof(seccomp_data, arch), .value = token_of(architecture)}, numbers, otherwise);
  OwnedProgram program = assemble(decision, root);
  MOTE_CHECK_WITHIN(check(program), "the filter '{}'", thread.name);
  return program;
}

Result<FilterMap> compile(const RuleSet& rules, Architecture architecture) {
  FilterMap filters;
  for (const ThreadRules& thread : rules) {
    MOTE_TRY(OwnedProgram program, compile(thread, architecture));
    filters.insert_or_assign(thread.name, std::move(program));
  }
  return filters;
}

std::string resolve_call(int number) {
  const std::unique_ptr<char, decltype(&std::free)> name(
      ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), &std::free);
  return name ? std::string(name.get()) : std::string();
}

int highest_call() {
  // No architecture's table comes near it.
  constexpr int kEnd = 1024;
  int highest = 0;
  for (int number = 0; number < kEnd; ++number) {
    if (!resolve_call(number).empty()) highest = number;
  }
  return highest;
}

}  // namespace mote::seccomp
