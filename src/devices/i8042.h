// I8042 is a PC's keyboard controller with a keyboard and without a mouse: enough for a guest to
// reset the machine through it, for the host to press Ctrl-Alt-Del, and for drivers that probe it
// to get an answer to everything they ask, so that none of them waits.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/counters.h"
#include "base/result.h"
#include "base/sync.h"
#include "bus/interrupt.h"
#include "devices/byte_registers.h"
#include "devices/end.h"

namespace mote::devices {

inline constexpr std::uint64_t kI8042Port = 0x60;  // data; command and status at 0x64; GSI 1
inline constexpr std::uint64_t kI8042Ports = 5;

struct I8042State {
  std::uint8_t configuration = 0x65;    // the controller's "command byte"
  std::uint8_t command = 0;             // whose parameter is awaited; 0: none
  std::uint8_t keyboard_command = 0;    // the same for the keyboard
  std::uint8_t last_data = 0;           // what the data port reads when nothing new is there
  bool last_write_was_command = false;  // status bit 3
  std::vector<std::uint8_t> output;     // bytes that the guest has not read yet, in order
};
BOOST_DESCRIBE_STRUCT(I8042State, (),
                      (configuration, command, keyboard_command, last_data, last_write_was_command,
                       output))

struct I8042Metrics {
  Counter read_count;
  Counter write_count;
  Counter reset_count;        // resets asked for
  Counter error_count;        // bytes for the guest that found no room
  Counter missed_read_count;  // accesses that no register answers
  Counter missed_write_count;
};
BOOST_DESCRIBE_STRUCT(I8042Metrics, (),
                      (read_count, write_count, reset_count, error_count, missed_read_count,
                       missed_write_count))

class I8042 final : public ByteRegisters {
 public:
  I8042(bus::Interrupt& interrupt, EndSink end) : I8042(interrupt, std::move(end), {}) {}
  static Result<std::unique_ptr<I8042>> restore(I8042State state, bus::Interrupt& interrupt,
                                                EndSink end);
  I8042State save() const EXCLUDES(mutex_);

  // Presses and releases Ctrl, Alt and Del, unless these keys wait for the guest still. An error
  // when other bytes do, or the guest has switched the keyboard off. From any thread.
  Result<void> trigger_ctrl_alt_del() EXCLUDES(mutex_);

  I8042Metrics metrics() const;

 private:
  I8042(bus::Interrupt& interrupt, EndSink end, I8042State state)
      : interrupt_(interrupt), end_(std::move(end)), state_(std::move(state)) {}

  std::uint8_t read_register(std::uint64_t offset) override EXCLUDES(mutex_);
  void write_register(std::uint64_t offset, std::uint8_t value) override EXCLUDES(mutex_);

  // True when the machine is to be reset.
  bool take_command(std::uint8_t value) REQUIRES(mutex_);
  bool take_parameter(std::uint8_t command, std::uint8_t value) REQUIRES(mutex_);
  void take_keyboard_byte(std::uint8_t value) REQUIRES(mutex_);
  void put(std::span<const std::uint8_t> bytes) REQUIRES(mutex_);
  void put(std::uint8_t byte) REQUIRES(mutex_) { put(std::span(&byte, 1)); }
  void announce() REQUIRES(mutex_);

  bus::Interrupt& interrupt_;
  const EndSink end_;
  mutable Mutex mutex_;
  I8042State state_ GUARDED_BY(mutex_);
  I8042Metrics metrics_;
};

}  // namespace mote::devices
