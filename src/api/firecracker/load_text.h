// A load that a command line asks for: what PUT /snapshot/load takes, by another way.
#pragma once

#include <string>

#include "api/firecracker/snapshot_requests.h"
#include "base/result.h"

namespace mote::api::firecracker {

// Reads `load`: the JSON object itself, or else the path of a file that holds it, of at most
// kMaxConfigFile bytes. Errors name the file and the place in it.
Result<SnapshotLoad> read_load(const std::string& load);

}  // namespace mote::api::firecracker
