// What a console counts, over all its ports.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

struct ConsoleMetrics {
  std::uint64_t tx_bytes_count = 0;    // that the guest wrote and the host's side took
  std::uint64_t tx_dropped_bytes = 0;  // that nobody was there to take
  std::uint64_t tx_fails = 0;          // writes that the host failed
  std::uint64_t rx_bytes_count = 0;    // that the guest got
  std::uint64_t rx_fails = 0;          // reads that the host failed
  std::uint64_t control_fails = 0;     // control messages that mean nothing
  std::uint64_t emergency_writes = 0;
};
BOOST_DESCRIBE_STRUCT(ConsoleMetrics, (),
                      (tx_bytes_count, tx_dropped_bytes, tx_fails, rx_bytes_count, rx_fails,
                       control_fails, emergency_writes))

}  // namespace mote::virtio
