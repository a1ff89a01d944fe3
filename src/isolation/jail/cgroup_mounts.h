// Where the host has its cgroup hierarchies, and where a process is in them, from the kernel's own
// lists.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "isolation/jail/request.h"

namespace mote::isolation::jail {

struct CgroupMount {
  CgroupVersion version;
  std::string at;
  std::vector<std::string> controllers;  // of version 1; those of version 2 stand in a file
};

// From the text of /proc/PID/mountinfo (proc(5)), in its order.
std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo);

// Where something is mounted, from the same text.
std::vector<std::string> parse_mount_points(std::string_view mountinfo);

// From the text of /proc/PID/cgroup (cgroups(7)): the cgroup of the process in the hierarchy with
// this controller, or, with none, in that of version 2. None where it has no such hierarchy.
std::optional<std::string> parse_own_cgroup(std::string_view cgroups, std::string_view controller);

// The file of the kernel that lists things, as text of at most 1 MiB.
Result<std::string> read_list(const std::string& path);

}  // namespace mote::isolation::jail
