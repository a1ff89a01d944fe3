// Removes a jail whose monitor has ended, however it ended.
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.h"

namespace mote::isolation::jail {

struct CleanupRequest {
  std::string id = {};
  std::string base = {};
  std::optional<std::string> exec_name = {};  // none: whichever has a jail with that id
  std::optional<std::string> parent_cgroup = {};
};

// Removes BASE/EXEC/ID and its cgroups. Errors: there is no such jail, or several monitors have
// one; a process is still in it; something of the host's is mounted in it.
Result<void> clean_up(const CleanupRequest& request);

// Removes all that is in the directory, but follows no link and enters no other mount. However deep
// it is, no more than two directories are open: what lies deep is moved up first.
Result<void> remove_contents(const UniqueFd& directory);

}  // namespace mote::isolation::jail
