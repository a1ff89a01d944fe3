// What a memory device counts. Names that Firecracker has mean what they mean there.
#pragma once

#include <algorithm>
#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

// How long something took, in microseconds.
struct LatencyMetrics {
  std::uint64_t min_us = 0;
  std::uint64_t max_us = 0;
  std::uint64_t sum_us = 0;

  void add(std::uint64_t microseconds) {
    min_us = sum_us == 0 && max_us == 0 ? microseconds : std::min(min_us, microseconds);
    max_us = std::max(max_us, microseconds);
    sum_us += microseconds;
  }
};
BOOST_DESCRIBE_STRUCT(LatencyMetrics, (), (min_us, max_us, sum_us))

struct MemMetrics {
  std::uint64_t queue_event_fails = 0;  // requests that break the protocol
  std::uint64_t queue_event_count = 0;  // kicks
  LatencyMetrics plug_agg;
  std::uint64_t plug_count = 0;
  std::uint64_t plug_bytes = 0;
  std::uint64_t plug_fails = 0;
  LatencyMetrics unplug_agg;
  std::uint64_t unplug_count = 0;
  std::uint64_t unplug_bytes = 0;
  std::uint64_t unplug_fails = 0;
  std::uint64_t unplug_discard_fails = 0;  // the host would not take it back
  LatencyMetrics unplug_all_agg;
  std::uint64_t unplug_all_count = 0;
  std::uint64_t unplug_all_fails = 0;
  LatencyMetrics state_agg;
  std::uint64_t state_count = 0;
  std::uint64_t state_fails = 0;
};
BOOST_DESCRIBE_STRUCT(MemMetrics, (),
                      (queue_event_fails, queue_event_count, plug_agg, plug_count, plug_bytes,
                       plug_fails, unplug_agg, unplug_count, unplug_bytes, unplug_fails,
                       unplug_discard_fails, unplug_all_agg, unplug_all_count, unplug_all_fails,
                       state_agg, state_count, state_fails))

}  // namespace mote::virtio
