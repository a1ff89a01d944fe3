// What a memory device counts. Names that Firecracker has mean what they mean there.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

#include "base/counters.h"

namespace mote::virtio {

struct MemMetrics {
  std::uint64_t queue_event_fails = 0;  // requests that break the protocol
  std::uint64_t queue_event_count = 0;  // kicks
  LatencyAggregate plug_agg;
  std::uint64_t plug_count = 0;
  std::uint64_t plug_bytes = 0;
  std::uint64_t plug_fails = 0;
  LatencyAggregate unplug_agg;
  std::uint64_t unplug_count = 0;
  std::uint64_t unplug_bytes = 0;
  std::uint64_t unplug_fails = 0;
  std::uint64_t unplug_discard_fails = 0;  // the host would not take it back
  LatencyAggregate unplug_all_agg;
  std::uint64_t unplug_all_count = 0;
  std::uint64_t unplug_all_fails = 0;
  LatencyAggregate state_agg;
  std::uint64_t state_count = 0;
  std::uint64_t state_fails = 0;
};
BOOST_DESCRIBE_STRUCT(MemMetrics, (),
                      (queue_event_fails, queue_event_count, plug_agg, plug_count, plug_bytes,
                       plug_fails, unplug_agg, unplug_count, unplug_bytes, unplug_fails,
                       unplug_discard_fails, unplug_all_agg, unplug_all_count, unplug_all_fails,
                       state_agg, state_count, state_fails))

}  // namespace mote::virtio
