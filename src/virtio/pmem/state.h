// What of a persistent memory is saved beside its queue: where the guest has it, and what it
// believes of the file. What the file holds is the file's.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>

#include "virtio/rate_limiter.h"

namespace mote::virtio {

struct PmemState {
  std::uint64_t start = 0;  // guest-physical
  std::uint64_t size = 0;   // bytes, whole 2 MiB
  // Of what the file has; behind it is nothing that lasts. 0: a state of before knows it not.
  std::uint64_t file_size = 0;
  bool read_only = false;
  std::optional<RateLimiterState> rate_limiter{};
};
BOOST_DESCRIBE_STRUCT(PmemState, (), (start, size, file_size, read_only, rate_limiter))

}  // namespace mote::virtio
