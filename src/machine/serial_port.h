// SerialPort is a UART with its line: output to one descriptor, input from another, both at the
// pace of whoever is slower. What a driver that polls sends in a burst leaves in few writes, and
// while it goes on so, KVM takes its bytes without an exit to us for each.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/byte_sink.h"
#include "base/event_loop.h"
#include "base/limited_sink.h"
#include "base/sync.h"
#include "bus/interrupt.h"
#include "devices/serial.h"
#include "kvm/posted_writes.h"
#include "machine/console_input.h"

namespace mote::machine {

// The most output that a line takes: `size` bytes in `refill_time` milliseconds, and a burst that
// is there once. What is beyond is lost.
struct SerialLimit {
  std::uint64_t size = 0;  // 0, here or as refill_time: no limit
  std::uint64_t refill_time = 0;
  std::uint64_t one_time_burst = 0;
};

// The descriptors of a port's line; they stay the caller's. -1: output is dropped, there is no
// input.
struct SerialLine {
  int input = -1;
  int output = -1;
  // The line is lossless: output that has no room waits in the guest, which takes input in windows
  // that it opens.
  bool flow_control = false;
  std::optional<SerialLimit> limit = {};
};

// Where a port is put. All outlive it.
struct SerialSite {
  EventLoop& loop;
  bus::Interrupt& interrupt;
  kvm::PostedWrites& posted;
  std::uint64_t port;  // its first address
};

class SerialPort {
 public:
  // `on_broken`, where there is one, hears of output that nobody will ever take. With `state`, the
  // chip goes on from there. Input begins with start_input().
  static Result<std::unique_ptr<SerialPort>> create(const SerialSite& site, const SerialLine& line,
                                                    std::function<void()> on_broken,
                                                    const devices::SerialState* state);
  SerialPort(const SerialPort&) = delete;
  SerialPort& operator=(const SerialPort&) = delete;

  void start_input();
  devices::Serial& chip() { return *chip_; }
  const devices::Serial& chip() const { return *chip_; }
  // The chip's, with what the line's limit cost.
  devices::SerialMetrics metrics() const;

 private:
  SerialPort(const SerialSite& site, const SerialLine& line, std::function<void()> on_broken)
      : loop_(site.loop),
        posted_(site.posted),
        port_(static_cast<std::uint16_t>(site.port)),
        line_(line),
        on_broken_(std::move(on_broken)) {}

  Result<void> make_sink();
  devices::SerialWiring wiring(bus::Interrupt& interrupt);
  // Waits until the output has room, then lets the chip go on.
  void wait_for_output();

  // Lets held output go now and then, until there is no more for a while.
  void begin_burst();
  void tick();
  // Posts the port or not, as the driver behaves; whether it is posted.
  bool choose_posting() EXCLUDES(posting_mutex_);
  void stop_posting() EXCLUDES(posting_mutex_);

  EventLoop& loop_;
  kvm::PostedWrites& posted_;
  const std::uint16_t port_;
  const SerialLine line_;
  const std::function<void()> on_broken_;
  std::unique_ptr<ByteSink> sink_;
  const LimitedSink* limited_ = nullptr;  // what sink_ is, where the line has a limit
  std::unique_ptr<devices::Serial> chip_;
  std::unique_ptr<ConsoleInput> input_;
  EventLoop::Watch output_watch_;

  std::optional<EventLoop::Timer> timer_;
  unsigned quiet_ticks_ = 0;
  Mutex posting_mutex_;
  bool posting_ GUARDED_BY(posting_mutex_) = false;
  bool cannot_post_ GUARDED_BY(posting_mutex_) = false;
};

}  // namespace mote::machine
