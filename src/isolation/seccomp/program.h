// A filter of system calls as the kernel takes it: a program of classic BPF.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace mote::seccomp {

using Program = std::span<const sock_filter>;
using OwnedProgram = std::vector<sock_filter>;

// A number that stands for the process that a filter is installed in, where a program compares an
// argument with it: what that process's id will be nobody knows when the program is made.
inline constexpr std::uint32_t kSelf = 0x53454c46;
// Likewise for the family of the sockets that a machine connects: AF_UNIX where it has a use for
// them, and else this, which no family is.
inline constexpr std::uint32_t kConnected = 0x434f4e4e;
// A number that will be another when the program is installed.
constexpr bool is_stand_in(std::uint32_t value) { return value == kSelf || value == kConnected; }

// Whether the kernel takes `program` as a filter of system calls: 1 to BPF_MAXINSNS instructions,
// only those that it allows there (load of an aligned word of seccomp_data, arithmetic, scratch
// memory, forward jumps inside the program), a return at the end. The error says which is not.
Result<void> check(Program program);

}  // namespace mote::seccomp
