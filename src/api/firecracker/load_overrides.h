// What PUT /snapshot/load gives other names than the snapshot has.
#pragma once

#include "api/firecracker/snapshot_requests.h"
#include "base/result.h"
#include "machine/config.h"

namespace mote::api::firecracker {

// Makes of the snapshot's configuration the one that `load` asks for. What is not named stays.
// Errors name the field; an override of what the snapshot does not have (kNotFound) also says what
// it has.
Result<void> apply_overrides(const SnapshotLoad& load, machine::VmConfig& config);

// Whether a microVM of `config` shares no file that it writes with the one of `saved`, of which it
// was forked and which runs on. Errors name the device and what to do.
Result<void> check_apart(const machine::VmConfig& saved, const machine::VmConfig& config);

}  // namespace mote::api::firecracker
