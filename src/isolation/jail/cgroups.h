// The cgroups of a jail: HIERARCHY/PARENT/ID in each hierarchy that a setting is for, made, set,
// and entered.
#pragma once

#include <span>
#include <string>

#include "isolation/jail/cgroup_mounts.h"
#include "isolation/jail/request.h"
#include "isolation/jail/undo.h"

namespace mote::isolation::jail {

// Which cgroups a jail wants.
struct CgroupPlan {
  CgroupVersion version = CgroupVersion::k1;
  std::string parent = {};  // below each hierarchy, see check_parent_cgroup
  std::string id = {};
  std::span<const CgroupSetting> settings = {};
  // Without settings, a cgroup of version 2 that is there already is entered itself.
  bool enter_parent = false;
};

// The files of the kernel that say where hierarchies and this process are; `pid` is what is written
// to enter (a test has files of its own).
struct CgroupHost {
  std::vector<CgroupMount> mounts = {};
  std::string own = {};  // text of /proc/self/cgroup
  std::string pid = {};

  static Result<CgroupHost> read();
};

// Whether the hierarchies that the settings are for are there; nothing is made.
Result<void> check_hierarchies(const CgroupPlan& plan, const CgroupHost& host);

// Makes the cgroups, writes the settings in their order, and puts this process in. `undo` takes the
// process out again and removes what was made. Errors: a controller that is not there or cannot be
// enabled, a file that its cgroup lacks, a value that the kernel refuses.
Result<void> enter_cgroups(const CgroupPlan& plan, const CgroupHost& host, Undo& undo);

// Removes PARENT/ID from each hierarchy of either version; one that is not there is fine. Errors: a
// process is in one of them.
Result<void> remove_cgroups(const std::string& parent, const std::string& id,
                            const CgroupHost& host);

}  // namespace mote::isolation::jail
