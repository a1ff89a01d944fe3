// A snapshot of a machine: its state as a file, its memory as another, and both back again.
#pragma once

#include <boost/describe/class.hpp>
#include <optional>
#include <string>
#include <vector>

#include "machine/config.h"
#include "machine/machine.h"
#include "machine/state.h"
#include "memory/layers.h"
#include "snapshot/memory_file.h"
#include "snapshot/page_handler.h"
#include "snapshot/state_file.h"

namespace mote::machine {

// The memory of a machine that was forked, and goes on: it is in layers that others have as well.
struct ForkedMemory {
  std::vector<memory::Extent> extents;
  // What fstat(2) says of the first layer, and of no file on another host: its inode, and when it
  // was last changed, in ns. 0: unknown.
  std::uint64_t inode = 0;
  std::uint64_t changed = 0;
  std::vector<std::uint64_t> later = {};  // inodes of the layers behind it
};
BOOST_DESCRIBE_STRUCT(ForkedMemory, (), (extents, inode, changed, later))

// All that a state file holds.
struct SnapshotState {
  std::vector<snapshot::MemoryPart> memory;  // as they lie in the memory file
  VmConfig config;                           // with what has changed since the start
  std::optional<CpuConfig> cpu_config = {};
  MachineState machine;
  std::optional<ForkedMemory> forked = {};  // in place of a memory file
  bool stamped = false;  // the memory file has the stamp of this state's moment (snapshot/stamp.h)
};
BOOST_DESCRIBE_STRUCT(SnapshotState, (), (memory, config, cpu_config, machine, forked, stamped))

// The two files of a snapshot.
struct SnapshotPaths {
  std::string state;
  std::string memory;
};

// Refuses paths at which files of the machine itself lie: its disk would be gone with the
// snapshot's file in its place. `config` is the machine's.
Result<void> check_places(const VmConfig& config, const SnapshotPaths& paths);

// What of memory a snapshot has: all; or what was written since the last snapshot (where pages are
// not tracked: since the start, or the load), laid over the memory file where there is one.
enum class SnapshotKind { kFull, kDiff };

// Writes a snapshot of `machine`, which is paused and whose configuration is `config`. `maker` is
// the program: "mote-vmm 0.1.0". The two files are whole, or what they were before, also where this
// fails; where the process ends between putting one and the other in place, a load finds both.
// `between`: see snapshot::Between; the machine must not run meanwhile.
Result<void> create_snapshot(Machine& machine, const VmConfig& config, SnapshotKind kind,
                             const SnapshotPaths& paths, const std::string& maker,
                             const snapshot::Between& between = {}) REQUIRES(kMachineThread);

// A state file that was read and whose configuration is sound. Nothing of it was tried on this
// host.
struct LoadedState {
  snapshot::Header header;
  SnapshotState state;
};
Result<LoadedState> read_snapshot(const std::string& path);
// The same of an open file, which messages call `name`.
Result<LoadedState> read_snapshot_of(int fd, const std::string& name);

// `state` as the bytes of a state file, whose id is `moment`.
std::vector<std::byte> state_bytes(const SnapshotState& state, const std::string& maker,
                                   const snapshot::MomentId& moment);

// How the memory of `state` is mapped. Errors: RAM is not where a machine of `config` has it.
Result<memory::MemoryConfig> restored_memory(const SnapshotState& state,
                                             const MachineConfig& config);

// The memory of `loaded` from the file at `path`, private: this process writes nothing there, and
// the file must stay as it is. `config` is the state's, with what is to be another. A file of
// another moment is refused, where it has a stamp.
// `shell` (null: none) is where its machine will be, which may have a place for memory.
Result<RestoreSource> map_snapshot(const LoadedState& loaded, const MachineConfig& config,
                                   const std::string& path, const Shell* shell = nullptr);

// The same of an open file, which messages call `name`.
Result<RestoreSource> map_open_snapshot(const LoadedState& loaded, const MachineConfig& config,
                                        UniqueFd fd, const std::string& name,
                                        const Shell* shell = nullptr);

// Has the memory of `source`, which map_snapshot() mapped of the file at `path`, brought in as a
// load before has noted it, or noted for the next: see snapshot::WorkingSet. `id` is the state's.
Result<void> prefetch(EventLoop& loop, RestoreSource& source, const std::string& path,
                      const std::array<std::byte, 16>& id);

// The memory of `loaded` from the page-fault handler that listens at `path`, as it is touched.
// `lost` is snapshot::PageHandler's.
Result<RestoreSource> receive_snapshot(const LoadedState& loaded, const MachineConfig& config,
                                       const std::string& path, snapshot::PageHandler::Lost lost);

}  // namespace mote::machine
