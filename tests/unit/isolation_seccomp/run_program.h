// What the kernel does with a filter, for tests.
#pragma once

#include <linux/seccomp.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "isolation/seccomp/program.h"

namespace mote::seccomp::test {

// What `program` returns for the call with this name of this machine and these arguments; those
// left out are 0.
std::uint32_t run(Program program, const std::string& call,
                  std::initializer_list<std::uint64_t> arguments = {});
// The same for any number and architecture.
std::uint32_t run(Program program, const seccomp_data& data);

// How many instructions that takes.
std::size_t steps(Program program, const std::string& call,
                  std::initializer_list<std::uint64_t> arguments = {});

inline bool allows(Program program, const std::string& call,
                   std::initializer_list<std::uint64_t> arguments = {}) {
  return run(program, call, arguments) == SECCOMP_RET_ALLOW;
}

}  // namespace mote::seccomp::test
