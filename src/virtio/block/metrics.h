// What a block device counts. Names that Firecracker has mean what they mean there.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

#include "base/counters.h"

namespace mote::virtio {

struct BlockMetrics {
  std::uint64_t queue_event_count = 0;   // kicks
  std::uint64_t invalid_reqs_count = 0;  // requests that break the protocol or pass the disk's end
  std::uint64_t execute_fails = 0;       // requests that the host failed
  std::uint64_t read_count = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t write_count = 0;
  std::uint64_t write_bytes = 0;
  std::uint64_t flush_count = 0;
  std::uint64_t discard_count = 0;  // mote's own, as the next
  std::uint64_t write_zeroes_count = 0;
  std::uint64_t no_avail_buffer = 0;  // kicks for nothing
  std::uint64_t update_count = 0;     // times that the disk was replaced or looked at anew
  std::uint64_t update_fails = 0;
  LatencyAggregate read_agg;  // from the kick to the answer
  LatencyAggregate write_agg;
  std::uint64_t rate_limiter_throttled_events = 0;  // requests that had to wait
  std::uint64_t rate_limiter_event_count = 0;       // times that waiting had an end
  std::uint64_t io_engine_throttled_events = 0;     // requests that waited for the engine's room
  std::uint64_t remaining_reqs_count = 0;           // runs that left requests for the next
};
BOOST_DESCRIBE_STRUCT(BlockMetrics, (),
                      (queue_event_count, invalid_reqs_count, execute_fails, read_count, read_bytes,
                       write_count, write_bytes, flush_count, discard_count, write_zeroes_count,
                       no_avail_buffer, update_count, update_fails, read_agg, write_agg,
                       rate_limiter_throttled_events, rate_limiter_event_count,
                       io_engine_throttled_events, remaining_reqs_count))

}  // namespace mote::virtio
