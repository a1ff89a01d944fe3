// What of a block device is saved beside its queues: what its driver believes of the disk, and
// what its limits have left.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "virtio/rate_limiter.h"

namespace mote::virtio {

struct BlockState {
  std::uint64_t sectors = 0;
  bool read_only = false;
  std::uint32_t block_size = 512;
  std::optional<RateLimiterState> rate_limiter{};  // absent: as configured
  std::string lies_on{};  // storage::Disk's; empty: unknown, or it has none
};
BOOST_DESCRIBE_STRUCT(BlockState, (), (sectors, read_only, block_size, rate_limiter, lies_on))

}  // namespace mote::virtio
