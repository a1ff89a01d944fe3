// The serial port's transmitter: what waits for more, and what leaves.

#include <linux/serial_reg.h>

#include <algorithm>
#include <utility>

#include "devices/serial.h"

namespace mote::devices {
namespace {

constexpr std::size_t kTransmitFifo = 16;
// From so many bytes on a driver is taken for one that polls.
constexpr std::size_t kSteadyPolling = 256;

}  // namespace

void Serial::transmit(std::uint8_t value, Due& due) {
  if (blocked_ && state_.unsent.size() >= kTransmitFifo) {
    ++metrics_.error_count;  // only a driver that does not look for an empty transmitter comes here
    return;
  }
  state_.unsent.push_back(value);
  if (blocked_) return;
  // A driver that works by interrupts fills the FIFO and is then heard of again, so its bytes leave
  // in one write. One that polls may never be heard of again.
  const bool waits = has_flag(state_.interrupt_enable, UART_IER_THRI)
                         ? has_flag(state_.fifo_control, UART_FCR_ENABLE_FIFO) &&
                               state_.unsent.size() < kTransmitFifo
                         : hold(due);
  if (!waits) flush(due);
  if (!blocked_) {
    interrupt_if(!state_.thre_pending, UART_IER_THRI);
    state_.thre_pending = true;
  }
}

bool Serial::hold(Due& due) {
  if (!wiring_.on_hold) return false;
  if (polled_ < kSteadyPolling) ++polled_;
  if (std::exchange(quiet_, false)) return false;
  if (!std::exchange(holding_, true)) due.hold = true;
  return state_.unsent.size() < kSerialOutputRoom;
}

bool Serial::release_output() {
  Due due;
  bool again = false;
  {
    const MutexLock lock(mutex_);
    again = !state_.unsent.empty() && !blocked_;
    if (again) {
      flush(due);
    } else {
      holding_ = false;
      quiet_ = true;
    }
  }
  call(due);
  return again;
}

bool Serial::polls() const {
  const MutexLock lock(mutex_);
  return polled_ == kSteadyPolling && !has_flag(state_.interrupt_enable, UART_IER_THRI);
}

void Serial::flush(Due& due) {
  if (state_.unsent.empty()) return;
  ++metrics_.flush_count;
  const auto taken = wiring_.sink.write(std::as_bytes(std::span(state_.unsent)));
  const std::size_t count = taken ? std::min(*taken, state_.unsent.size()) : 0;
  metrics_.write_count += count;
  state_.unsent.erase(state_.unsent.begin(), state_.unsent.begin() + static_cast<long>(count));
  if (state_.unsent.empty()) return;
  due.broken = !taken;
  if (!taken || wiring_.when_full == WhenFull::kDrop) {
    metrics_.error_count += state_.unsent.size();
    state_.unsent.clear();
    return;
  }
  blocked_ = true;
  state_.thre_pending = false;
  due.blocked = true;
}

void Serial::resume_output() {
  Due due;
  {
    const MutexLock lock(mutex_);
    const bool was_blocked = std::exchange(blocked_, false);
    flush(due);
    if (was_blocked && !blocked_) {
      state_.thre_pending = true;
      interrupt_if(true, UART_IER_THRI);
    }
  }
  call(due);
}

}  // namespace mote::devices
