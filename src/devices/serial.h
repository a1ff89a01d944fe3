// Serial is a 16550A UART (National Semiconductor PC16550D) whose line is a ByteSink one way and
// feed() the other. There is no baud rate: a byte leaves at once, or with those that follow it
// closely.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/byte_sink.h"
#include "base/result.h"
#include "base/sync.h"
#include "bus/interrupt.h"
#include "devices/byte_registers.h"
#include "devices/serial_state.h"

namespace mote::devices {

inline constexpr std::uint64_t kSerialPorts = 8;       // registers
inline constexpr std::uint64_t kCom1Port = 0x3f8;      // GSI 4
inline constexpr std::uint64_t kCom2Port = 0x2f8;      // GSI 3
inline constexpr std::size_t kSerialInputRoom = 64;    // bytes between feed() and the guest
inline constexpr std::size_t kSerialOutputRoom = 256;  // bytes that wait for others, or the sink
inline constexpr std::uint32_t kSerialInputWindow = 4096;

// What becomes of output that the sink has no room for.
enum class WhenFull {
  kDrop,  // it is lost, and counted
  kWait,  // the transmitter is not empty until resume_output() got rid of it
};

struct SerialWiring {
  bus::Interrupt& interrupt;  // an edge whenever a cause for an interrupt arises
  ByteSink& sink;
  WhenFull when_full = WhenFull::kDrop;
  // Take input only in windows of kSerialInputWindow bytes. The guest opens one, and closes what is
  // left of the one before, by raising OUT1, which drivers leave alone: so input meets no line that
  // is not set up yet, and never more than the guest's own buffers hold.
  bool windowed = false;
  // There is room for input again after feed() took less than it was given. From a vCPU's thread.
  std::function<void()> on_room = nullptr;
  // Output waits (kWait): call resume_output() when the sink has room. From a vCPU's thread.
  std::function<void()> on_blocked = nullptr;
  // Bytes of a driver that polls are held for others to leave with them: call release_output()
  // soon. Not called again before release_output() was false. From a vCPU's thread. Without it each
  // such byte leaves at once.
  std::function<void()> on_hold = nullptr;
  // The driver went over to transmit interrupts: it must hear of each batch that has left. From a
  // vCPU's thread.
  std::function<void()> on_driven = nullptr;
  // Output found the sink broken, and was lost. From any thread that makes output leave, more than
  // once.
  std::function<void()> on_broken = nullptr;
};

class Serial final : public ByteRegisters {
 public:
  explicit Serial(SerialWiring wiring) : wiring_(std::move(wiring)) {}
  // Gives the sink what is left, as far as it takes it.
  ~Serial() override;
  // A port that goes on where `state` was saved; an error names what in it cannot be. Call
  // resume_output() once interrupts can be taken.
  static Result<std::unique_ptr<Serial>> restore(SerialState state, SerialWiring wiring);
  SerialState save() const EXCLUDES(mutex_);

  // Input: takes bytes from the front; returns how many. When not all, on_room() follows. From any
  // thread.
  std::size_t feed(std::span<const std::byte> bytes) EXCLUDES(mutex_);
  // No more input comes. The guest sees "data set ready" drop once it has taken every byte.
  void end_input() EXCLUDES(mutex_);
  // The sink has room (or is broken) again after on_blocked(). From any thread.
  void resume_output() EXCLUDES(mutex_);
  // Lets go what is held after on_hold(). True: something was, so call it again as soon; false: the
  // line has been quiet since the last call. From any thread.
  bool release_output() EXCLUDES(mutex_);
  // Whether the driver polls for each byte, and has done so for a while.
  bool polls() const EXCLUDES(mutex_);

  SerialMetrics metrics() const;

 private:
  std::uint8_t read_register(std::uint64_t offset) override EXCLUDES(mutex_);
  void write_register(std::uint64_t offset, std::uint8_t value) override EXCLUDES(mutex_);

  // The calls that are due once the lock is released.
  struct Due {
    bool room = false;
    bool hold = false;
    bool driven = false;
    bool blocked = false;
    bool broken = false;
  };
  void call(Due due) const;

  std::uint8_t read_locked(std::uint64_t offset, Due& due) REQUIRES(mutex_);
  void write_locked(std::uint64_t offset, std::uint8_t value, Due& due) REQUIRES(mutex_);
  std::uint8_t receive_byte(Due& due) REQUIRES(mutex_);
  void transmit(std::uint8_t value, Due& due) REQUIRES(mutex_);
  void loop_back(std::uint8_t value) REQUIRES(mutex_);
  void set_interrupt_enable(std::uint8_t value, Due& due) REQUIRES(mutex_);
  void set_fifo_control(std::uint8_t value, Due& due) REQUIRES(mutex_);
  void set_modem_control(std::uint8_t value, Due& due) REQUIRES(mutex_);
  // Whether a byte of a driver that polls waits: the first after a quiet time does not.
  bool hold(Due& due) REQUIRES(mutex_);
  // Gives the sink what it takes of unsent_.
  void flush(Due& due) REQUIRES(mutex_);
  void input_drained(Due& due) REQUIRES(mutex_);
  void note_modem_change(std::uint8_t before) REQUIRES(mutex_);

  bool latch_open() const REQUIRES(mutex_);  // the divisor stands where data and IER do
  // How many bytes of input may come now.
  std::size_t input_room() const REQUIRES(mutex_);
  std::uint8_t modem_lines() const REQUIRES(mutex_);  // the upper half of the modem status
  std::uint8_t line_status() const REQUIRES(mutex_);
  // The highest enabled cause as the identification register tells it.
  std::uint8_t cause() const REQUIRES(mutex_);
  void interrupt_if(bool arisen, std::uint8_t enable_bit) REQUIRES(mutex_);

  const SerialWiring wiring_;
  mutable Mutex mutex_;
  SerialState state_ GUARDED_BY(mutex_);
  bool blocked_ GUARDED_BY(mutex_) = false;  // unsent bytes wait for resume_output()
  bool starved_ GUARDED_BY(mutex_) = false;  // a feed() was not taken whole
  bool quiet_ GUARDED_BY(mutex_) = true;     // nothing left lately
  bool holding_ GUARDED_BY(mutex_) = false;  // from on_hold() to the end of the burst
  // Bytes since the driver began to poll, up to where that counts as its habit.
  std::size_t polled_ GUARDED_BY(mutex_) = 0;
  SerialMetrics metrics_;
};

}  // namespace mote::devices
