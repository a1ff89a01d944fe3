// What of a serial port is saved, and what it counts.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <vector>

#include "base/counters.h"

namespace mote::devices {

struct SerialState {
  std::uint8_t interrupt_enable = 0;
  std::uint8_t fifo_control = 0;
  std::uint8_t line_control = 0;
  std::uint8_t modem_control = 0;
  std::uint8_t line_errors = 0;   // of the line status: overrun
  std::uint8_t modem_deltas = 0;  // of the modem status: what changed since it was read
  std::uint8_t scratch = 0;
  std::uint16_t divisor = 12;
  bool thre_pending = false;  // "transmitter empty" not yet acknowledged
  bool input_ended = false;
  bool dsr = true;
  std::uint32_t window_left = 0;       // bytes of input that the guest still lets in
  std::vector<std::uint8_t> received;  // not yet read by the guest
  std::vector<std::uint8_t> unsent;    // not yet taken by the sink
};
BOOST_DESCRIBE_STRUCT(SerialState, (),
                      (interrupt_enable, fifo_control, line_control, modem_control, line_errors,
                       modem_deltas, scratch, divisor, thre_pending, input_ended, dsr, window_left,
                       received, unsent))

struct SerialMetrics {
  Counter read_count;         // bytes that the guest took
  Counter write_count;        // bytes that the sink took
  Counter flush_count;        // writes to the sink
  Counter error_count;        // bytes lost: the sink was full or gone
  Counter missed_read_count;  // accesses that no register answers
  Counter missed_write_count;
  Counter rate_limiter_dropped_bytes;  // beyond the limit of the port's line
};
BOOST_DESCRIBE_STRUCT(SerialMetrics, (),
                      (read_count, write_count, flush_count, error_count, missed_read_count,
                       missed_write_count, rate_limiter_dropped_bytes))

}  // namespace mote::devices
