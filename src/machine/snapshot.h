// A snapshot of a machine: its state as a file, its memory as another, and both back again.
#pragma once

#include <boost/describe/class.hpp>
#include <optional>
#include <string>
#include <vector>

#include "machine/config.h"
#include "machine/machine.h"
#include "machine/state.h"
#include "snapshot/memory_file.h"
#include "snapshot/page_handler.h"
#include "snapshot/state_file.h"

namespace mote::machine {

// All that a state file holds.
struct SnapshotState {
  std::vector<snapshot::MemoryPart> memory;  // as they lie in the memory file
  VmConfig config;                           // with what has changed since the start
  std::optional<CpuConfig> cpu_config = {};
  MachineState machine;
};
BOOST_DESCRIBE_STRUCT(SnapshotState, (), (memory, config, cpu_config, machine))

// The two files of a snapshot.
struct SnapshotPaths {
  std::string state;
  std::string memory;
};

// What of memory a snapshot has: all; or what was written since the last snapshot (where pages are
// not tracked: since the start, or the load), laid over the memory file where there is one.
enum class SnapshotKind { kFull, kDiff };

// Writes a snapshot of `machine`, which is paused and whose configuration is `config`. `maker` is
// the program: "mote-vmm 0.1.0". Either file is whole or what it was before, also where this fails;
// the memory is in place before the state is.
Result<void> create_snapshot(Machine& machine, const VmConfig& config, SnapshotKind kind,
                             const SnapshotPaths& paths, const std::string& maker)
    REQUIRES(kMachineThread);

// A state file that was read and whose configuration is sound. Nothing of it was tried on this
// host.
struct LoadedState {
  snapshot::Header header;
  SnapshotState state;
};
Result<LoadedState> read_snapshot(const std::string& path);

// The memory of `state` from the file at `path`, private: this process writes nothing there, and
// the file must stay as it is. `config` is the state's, with what is to be another.
Result<RestoreSource> map_snapshot(const SnapshotState& state, const MachineConfig& config,
                                   const std::string& path);

// The memory of `state` from the page-fault handler that listens at `path`, as it is touched.
// `lost` is snapshot::PageHandler's.
Result<RestoreSource> receive_snapshot(const SnapshotState& state, const MachineConfig& config,
                                       const std::string& path, snapshot::PageHandler::Lost lost);

}  // namespace mote::machine
