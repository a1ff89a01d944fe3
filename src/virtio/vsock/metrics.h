// What a vsock device counts. Names that Firecracker has mean what they mean there: rx is what the
// guest gets, tx what it sends.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

struct VsockMetrics {
  std::uint64_t rx_queue_event_fails =
      0;  // chains for packets that are of no use, lies of the ring
  std::uint64_t tx_queue_event_fails = 0;  // packets that are none, or come from another's address
  std::uint64_t ev_queue_event_fails = 0;  // chains too small for an event, lies of the ring
  std::uint64_t muxer_event_fails = 0;     // host clients that could not be let in
  std::uint64_t conn_event_fails = 0;      // host sockets that could not be watched
  std::uint64_t rx_queue_event_count = 0;  // kicks
  std::uint64_t tx_queue_event_count = 0;
  std::uint64_t rx_bytes_count = 0;  // payload
  std::uint64_t tx_bytes_count = 0;
  std::uint64_t rx_packets_count = 0;
  std::uint64_t tx_packets_count = 0;
  std::uint64_t conns_added = 0;
  std::uint64_t conns_killed = 0;    // ended by a reset from this side
  std::uint64_t conns_removed = 0;   // ended in any way
  std::uint64_t tx_flush_fails = 0;  // host sockets that failed with data waiting for them
  std::uint64_t tx_write_fails = 0;  // host sockets that failed as data came
  std::uint64_t rx_read_fails = 0;   // host sockets that failed to be read
  std::uint64_t conns_refused = 0;   // connections asked for by either side that did not come about
  std::uint64_t resets_dropped = 0;  // resets that a guest which takes no packets does not get
};
BOOST_DESCRIBE_STRUCT(VsockMetrics, (),
                      (rx_queue_event_fails, tx_queue_event_fails, ev_queue_event_fails,
                       muxer_event_fails, conn_event_fails, rx_queue_event_count,
                       tx_queue_event_count, rx_bytes_count, tx_bytes_count, rx_packets_count,
                       tx_packets_count, conns_added, conns_killed, conns_removed, tx_flush_fails,
                       tx_write_fails, rx_read_fails, conns_refused, resets_dropped))

}  // namespace mote::virtio
