// What `mote snapshot` does with the files of snapshots: no microVM is needed for it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mote::engine {

// The format that a state file is of: "1.0.0".
Result<std::string> snapshot_version(const std::string& path);

// All that a state file says, as lines "machine.vcpus[0].regs.rip = 1048576" behind some of its
// header, or as JSON. `part`: only what is there, such as "machine.vcpus"; empty: all. Errors name
// the file; kNotFound: there is no such part.
Result<std::string> inspect_snapshot(const std::string& path, const std::string& part, bool json);

// In what two state files differ, a line a place: "config.machine.vcpu_count: 1, 2".
Result<std::vector<std::string>> diff_snapshots(const std::string& one, const std::string& other);

// Lays the memory file of changes `diff` over the memory file `base`, which is whole or as it was
// before, whatever happens. Errors (kInvalid): they are of different sizes, so of different
// machines; their stamps say that the changes are not since `base`.
Result<void> rebase_snapshot(const std::string& base, const std::string& diff);

}  // namespace mote::engine
