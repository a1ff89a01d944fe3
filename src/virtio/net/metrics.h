// What a network device counts. Names that Firecracker has mean what they mean there.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

#include "base/counters.h"

namespace mote::virtio {

struct NetMetrics {
  std::uint64_t no_rx_avail_buffer = 0;    // frames were waiting, and the driver had given no room
  std::uint64_t no_tx_avail_buffer = 0;    // kicks of a queue that had nothing
  std::uint64_t event_fails = 0;           // failures that end a lane
  std::uint64_t rx_queue_event_count = 0;  // kicks
  std::uint64_t rx_event_rate_limiter_count = 0;  // the limiter let frames in again
  std::uint64_t rx_rate_limiter_throttled = 0;    // ... or held them back
  std::uint64_t rx_tap_event_count = 0;           // the link had frames
  std::uint64_t rx_bytes_count = 0;               // frames with their headers
  std::uint64_t rx_packets_count = 0;
  std::uint64_t rx_fails = 0;  // frames dropped for the driver's buffers, and buffers that are none
  std::uint64_t rx_count = 0;  // runs that brought frames
  std::uint64_t tap_read_fails = 0;
  std::uint64_t tap_write_fails = 0;
  LatencyAggregate tap_write_agg;    // handing a frame to the link
  std::uint64_t tx_bytes_count = 0;  // frames with their headers
  std::uint64_t tx_malformed_frames = 0;
  std::uint64_t tx_fails = 0;  // frames that did not get out, whatever the reason
  std::uint64_t tx_count = 0;  // runs that took frames
  std::uint64_t tx_packets_count = 0;
  std::uint64_t tx_queue_event_count = 0;         // kicks
  std::uint64_t tx_rate_limiter_event_count = 0;  // the limiter let frames out again
  std::uint64_t tx_rate_limiter_throttled = 0;    // ... or held them back
  std::uint64_t tx_spoofed_mac_count = 0;         // frames whose source is another than guest_mac
  std::uint64_t tx_remaining_reqs_count = 0;      // runs that left frames for the next
  std::uint64_t control_fails = 0;                // commands that were refused
};
BOOST_DESCRIBE_STRUCT(NetMetrics, (),
                      (no_rx_avail_buffer, no_tx_avail_buffer, event_fails, rx_queue_event_count,
                       rx_event_rate_limiter_count, rx_rate_limiter_throttled, rx_tap_event_count,
                       rx_bytes_count, rx_packets_count, rx_fails, rx_count, tap_read_fails,
                       tap_write_fails, tap_write_agg, tx_bytes_count, tx_malformed_frames,
                       tx_fails, tx_count, tx_packets_count, tx_queue_event_count,
                       tx_rate_limiter_event_count, tx_rate_limiter_throttled, tx_spoofed_mac_count,
                       tx_remaining_reqs_count, control_fails))

}  // namespace mote::virtio
