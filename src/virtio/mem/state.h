// What of a memory device is saved beside its queue: where it is, and which blocks are plugged.
// What they hold is guest memory.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <vector>

namespace mote::virtio {

// Blocks [first, first + count).
struct BlockRun {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
BOOST_DESCRIBE_STRUCT(BlockRun, (), (first, count))

struct MemState {
  std::uint64_t start = 0;  // guest-physical
  std::uint32_t total_size_mib = 0;
  std::uint32_t block_size_mib = 0;
  std::uint32_t slot_size_mib = 0;
  std::uint32_t requested_size_mib = 0;
  bool active = false;  // a driver has it
  std::vector<BlockRun> plugged;
};
BOOST_DESCRIBE_STRUCT(MemState, (),
                      (start, total_size_mib, block_size_mib, slot_size_mib, requested_size_mib,
                       active, plugged))

}  // namespace mote::virtio
