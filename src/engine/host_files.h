// What this host says in small files of /proc and /sys, and of this process's limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace mote::engine {

// The first line of a small file; nothing where it cannot be read.
std::optional<std::string> first_line(const std::string& path);
// The decimal number that it begins with; nothing where there is none.
std::optional<std::int64_t> number_in(const std::string& path);

// The soft limit of an RLIMIT_ resource; UINT64_MAX: no limit.
std::uint64_t limit_of(int resource);

}  // namespace mote::engine
