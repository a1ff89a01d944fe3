// What a persistent memory counts. Names that Firecracker has mean what they mean there.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

struct PmemMetrics {
  std::uint64_t queue_event_count = 0;  // kicks
  std::uint64_t event_fails = 0;        // requests that break the protocol
  std::uint64_t rate_limiter_throttled_events = 0;
  std::uint64_t rate_limiter_event_count = 0;
  std::uint64_t flush_count = 0;
  std::uint64_t flush_fails = 0;  // flushes that the host failed
};
BOOST_DESCRIBE_STRUCT(PmemMetrics, (),
                      (queue_event_count, event_fails, rate_limiter_throttled_events,
                       rate_limiter_event_count, flush_count, flush_fails))

}  // namespace mote::virtio
