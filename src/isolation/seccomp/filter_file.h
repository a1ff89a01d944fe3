// Filters in a file: what `mote seccomp compile` writes and mote-vmm reads, in the layout that
// Firecracker's seccompiler-bin has. Numbers are 64 bits, the least byte first:
//
//   how many filters; of each, in the order of their names: how many bytes its name has, the name,
//   how many instructions its program has, the instructions (struct sock_filter)
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "isolation/seccomp/program.h"

namespace mote::seccomp {

using FilterMap = std::map<std::string, OwnedProgram, std::less<>>;

// More than any such file has: a filter for each kind of thread, each as long as the kernel takes.
inline constexpr std::size_t kMaxFilterFile = std::size_t{1} << 20;

// Reads the bytes of a file. Names are made small letters, as Firecracker does, whose users may
// have written "Vmm". Errors: it ends early or goes on after its end, says more than it can
// hold, has a name twice or one that is no word, or a program that check() refuses.
Result<FilterMap> parse_filters(std::span<const std::byte> bytes);

std::string write_filters(const FilterMap& filters);

}  // namespace mote::seccomp
