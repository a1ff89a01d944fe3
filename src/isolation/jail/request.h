// What a jail shall be: Firecracker's jailer flags and mote's own, as values that were checked.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mote::isolation::jail {

enum class CgroupVersion { k1 = 1, k2 = 2 };

// A file of a cgroup and what is written into it, as `cpu.shares` and `100`.
struct CgroupSetting {
  std::string file;
  std::string value;

  // The part of the file's name that names the controller.
  std::string_view controller() const { return std::string_view(file).substr(0, file.find('.')); }
};

struct Limits {
  std::optional<std::uint64_t> fsize = {};  // bytes, of a file that is written
  std::optional<std::uint64_t> no_file = {};

  // Descriptors, where nobody says how many; as Firecracker's.
  static constexpr std::uint64_t kNoFile = 2048;
};

struct Request {
  std::string id = {};
  std::string exec_file = {};
  uid_t uid = 0;
  gid_t gid = 0;
  std::string base = "/srv/jailer";
  std::optional<std::string> netns = {};  // a path
  bool daemonize = false;
  bool new_pid_ns = false;
  CgroupVersion cgroup_version = CgroupVersion::k1;
  // Below each hierarchy, relative and without `.` and `..`. None: the name of the monitor's file.
  std::optional<std::string> parent_cgroup = {};
  std::vector<CgroupSetting> cgroups = {};
  Limits limits = {};
  std::vector<std::string> arguments = {};  // of the monitor, after those that the jailer adds
  // mote's own.
  bool new_cgroup_ns = false;
  bool user_ns = false;
  bool share_exec = false;
};

// When the jailer was started, and what of the CPU it has used since: what the monitor's metrics
// reckon the start by. Microseconds.
struct StartTimes {
  std::uint64_t monotonic = 0;
  std::uint64_t cpu = 0;

  static StartTimes now();
};

// The components of a path below a cgroup hierarchy.
std::vector<std::string> components(std::string_view path);

}  // namespace mote::isolation::jail
