// What of a block device is saved beside its queues: what its driver believes of the disk.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

struct BlockState {
  std::uint64_t sectors = 0;
  bool read_only = false;
};
BOOST_DESCRIBE_STRUCT(BlockState, (), (sectors, read_only))

}  // namespace mote::virtio
