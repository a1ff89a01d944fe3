// Live fork: a machine's memory is frozen and its state saved, both as descriptors, and the machine
// goes on. Whoever gets the descriptors makes machines of them, as many as it likes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "machine/snapshot.h"
#include "memory/layers.h"

namespace mote::machine {

// What a machine was at a moment.
struct Frozen {
  SnapshotState state;
  memory::Layers layers;
  std::uint64_t copied_bytes = 0;  // by freezing
  snapshot::MomentId moment{};
};

// Freezes `machine`, which is paused and whose configuration is `config`; it may run on at once.
// Errors: memory that cannot be frozen, with advice; a device that cannot be saved.
Result<Frozen> freeze(Machine& machine, const VmConfig& config) REQUIRES(kMachineThread);

// `frozen` as descriptors of sealed memory: the state, then the layers. `maker` as in
// create_snapshot().
Result<std::vector<UniqueFd>> descriptors_of(const Frozen& frozen, const std::string& maker);

// What came as descriptors: the state, then its memory. A state that was frozen has its layers; one
// of a snapshot's file has the memory file. Errors name what of it is wrong.
struct FromDescriptors {
  LoadedState loaded;
  std::vector<UniqueFd> memory;
};
Result<FromDescriptors> read_descriptors(std::vector<UniqueFd> descriptors);

// The memory of what read_descriptors() read, private; `config` and `shell` as in map_snapshot().
Result<RestoreSource> map_descriptors(FromDescriptors& from, const MachineConfig& config,
                                      const Shell* shell = nullptr);

}  // namespace mote::machine
