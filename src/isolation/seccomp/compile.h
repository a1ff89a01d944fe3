// Makes programs of rules.
#pragma once

#include <string>

#include "base/result.h"
#include "isolation/seccomp/filter_file.h"
#include "isolation/seccomp/program.h"
#include "isolation/seccomp/rules.h"

namespace mote::seccomp {

// The filter of one thread. Errors name the rule: a call that the architecture has not, rules that
// contradict each other; a program that is too long.
Result<OwnedProgram> compile(const ThreadRules& thread, Architecture architecture);

// The same of all threads.
Result<FilterMap> compile(const RuleSet& rules, Architecture architecture);

// The name of a system call of this machine; empty: none has the number.
std::string resolve_call(int number);
// The highest number that a call of this machine has.
int highest_call();

}  // namespace mote::seccomp
