#include "devices/serial.h"

#include <linux/serial_reg.h>

#include <algorithm>
#include <utility>

namespace mote::devices {
namespace {

constexpr std::uint8_t kFifosEnabled = 0xc0;  // in the interrupt identification
constexpr std::uint8_t kEnableBits = UART_IER_MSI | UART_IER_RLSI | UART_IER_THRI | UART_IER_RDI;
constexpr std::uint8_t kModemControlBits =
    UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT1 | UART_MCR_OUT2 | UART_MCR_LOOP;
// on_room() comes when no more than this many bytes are left, so that input moves in batches.
constexpr std::size_t kLowWater = 16;

std::size_t trigger_level(std::uint8_t fifo_control) {
  switch (fifo_control & UART_FCR_TRIGGER_MASK) {
    case UART_FCR_TRIGGER_4:
      return 4;
    case UART_FCR_TRIGGER_8:
      return 8;
    case UART_FCR_TRIGGER_14:
      return 14;
    default:
      return 1;
  }
}

}  // namespace

Result<std::unique_ptr<Serial>> Serial::restore(SerialState state, SerialWiring wiring) {
  if (state.received.size() > kSerialInputRoom) {
    return fail(ErrorKind::kInvalid, "serial port state: {} received bytes; at most {} fit",
                state.received.size(), kSerialInputRoom);
  }
  if (state.unsent.size() > kSerialOutputRoom) {
    return fail(ErrorKind::kInvalid, "serial port state: {} unsent bytes; at most {} fit",
                state.unsent.size(), kSerialOutputRoom);
  }
  if (state.window_left > kSerialInputWindow) {
    return fail(ErrorKind::kInvalid, "serial port state: {} bytes let in; at most {} are",
                state.window_left, kSerialInputWindow);
  }
  if ((state.interrupt_enable & ~kEnableBits) != 0 ||
      (state.modem_control & ~kModemControlBits) != 0 ||
      (state.modem_deltas & ~UART_MSR_ANY_DELTA) != 0 || (state.line_errors & ~UART_LSR_OE) != 0) {
    return fail(ErrorKind::kInvalid, "serial port state: a register has bits that a 16550A lacks");
  }
  auto port = std::make_unique<Serial>(std::move(wiring));
  {
    const MutexLock lock(port->mutex_);
    port->state_ = std::move(state);
    port->blocked_ = !port->state_.unsent.empty();
    port->starved_ = true;  // whoever feeds the port tries again
  }
  return port;
}

Serial::~Serial() {
  const MutexLock lock(mutex_);
  Due nobody;
  flush(nobody);
}

SerialState Serial::save() const {
  const MutexLock lock(mutex_);
  return state_;
}

SerialMetrics Serial::metrics() const {
  SerialMetrics copy = metrics_;
  copy.missed_read_count = missed_reads();
  copy.missed_write_count = missed_writes();
  return copy;
}

void Serial::call(Due due) const {
  if (due.room && wiring_.on_room) wiring_.on_room();
  if (due.hold) wiring_.on_hold();
  if (due.driven && wiring_.on_driven) wiring_.on_driven();
  if (due.blocked && wiring_.on_blocked) wiring_.on_blocked();
  if (due.broken && wiring_.on_broken) wiring_.on_broken();
}

std::uint8_t Serial::read_register(std::uint64_t offset) {
  if (offset >= kSerialPorts) return note_missed_read();
  Due due;
  std::uint8_t value = 0;
  {
    const MutexLock lock(mutex_);
    value = read_locked(offset, due);
  }
  call(due);
  return value;
}

void Serial::write_register(std::uint64_t offset, std::uint8_t value) {
  if (offset >= kSerialPorts) return note_missed_write();
  Due due;
  {
    const MutexLock lock(mutex_);
    write_locked(offset, value, due);
  }
  call(due);
}

std::uint8_t Serial::read_locked(std::uint64_t offset, Due& due) {
  // A driver that looks at any register is through with its batch of output, but for one that polls
  // before each byte.
  const bool polls = offset == UART_LSR && !has_flag(state_.interrupt_enable, UART_IER_THRI);
  if (!blocked_ && !polls) flush(due);
  switch (offset) {
    case UART_RX:
      return latch_open() ? static_cast<std::uint8_t>(state_.divisor) : receive_byte(due);
    case UART_IER:
      return latch_open() ? static_cast<std::uint8_t>(state_.divisor >> 8)
                          : state_.interrupt_enable;
    case UART_IIR: {
      const std::uint8_t top = cause();
      if (top == UART_IIR_THRI) state_.thre_pending = false;
      const bool fifos = has_flag(state_.fifo_control, UART_FCR_ENABLE_FIFO);
      return top | (fifos ? kFifosEnabled : 0);
    }
    case UART_LCR:
      return state_.line_control;
    case UART_MCR:
      return state_.modem_control;
    case UART_LSR: {
      const std::uint8_t status = line_status();
      state_.line_errors = 0;
      return status;
    }
    case UART_MSR:
      return modem_lines() | std::exchange(state_.modem_deltas, 0);
    default:
      return state_.scratch;
  }
}

void Serial::write_locked(std::uint64_t offset, std::uint8_t value, Due& due) {
  if (!blocked_ && (offset != UART_TX || latch_open())) flush(due);
  switch (offset) {
    case UART_TX:
      if (latch_open()) {
        state_.divisor = static_cast<std::uint16_t>((state_.divisor & 0xff00) | value);
      } else if (has_flag(state_.modem_control, UART_MCR_LOOP)) {
        loop_back(value);
      } else {
        transmit(value, due);
      }
      return;
    case UART_IER:
      if (latch_open()) {
        state_.divisor = static_cast<std::uint16_t>((state_.divisor & 0xff) | value << 8);
      } else {
        set_interrupt_enable(value, due);
      }
      return;
    case UART_FCR:
      return set_fifo_control(value, due);
    case UART_LCR:
      state_.line_control = value;
      return;
    case UART_MCR:
      return set_modem_control(value, due);
    case UART_SCR:
      state_.scratch = value;
      return;
    default:  // line and modem status are read-only
      return;
  }
}

std::uint8_t Serial::receive_byte(Due& due) {
  if (state_.received.empty()) return 0;
  const std::uint8_t value = state_.received.front();
  state_.received.erase(state_.received.begin());
  ++metrics_.read_count;
  input_drained(due);
  return value;
}

void Serial::input_drained(Due& due) {
  if (starved_ && input_room() > 0 && state_.received.size() <= kLowWater) {
    starved_ = false;
    due.room = true;
  }
  if (state_.input_ended && state_.dsr && state_.received.empty()) {
    const std::uint8_t before = modem_lines();
    state_.dsr = false;
    note_modem_change(before);
  }
}

void Serial::loop_back(std::uint8_t value) {
  if (state_.received.size() >= kSerialInputRoom) {
    state_.line_errors |= UART_LSR_OE;
    interrupt_if(true, UART_IER_RLSI);
  } else {
    state_.received.push_back(value);
    interrupt_if(true, UART_IER_RDI);
  }
  state_.thre_pending = true;
  interrupt_if(true, UART_IER_THRI);
}

void Serial::set_interrupt_enable(std::uint8_t value, Due& due) {
  const std::uint8_t before = std::exchange(state_.interrupt_enable, value & kEnableBits);
  const bool enables_thre = has_flag(state_.interrupt_enable & ~before, UART_IER_THRI);
  if (enables_thre && !blocked_) state_.thre_pending = true;
  if (enables_thre) {
    due.driven = true;
    polled_ = 0;
  }
  // What was pending and masked is an edge now.
  const bool gained = (state_.interrupt_enable & ~before) != 0;
  if (gained && cause() != UART_IIR_NO_INT) wiring_.interrupt.trigger();
}

void Serial::set_fifo_control(std::uint8_t value, Due& due) {
  const bool switched = has_flag(value ^ state_.fifo_control, UART_FCR_ENABLE_FIFO);
  state_.fifo_control = value & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK);
  // Bytes that the driver was done with leave whatever it clears: output is never thrown away.
  if (switched || has_flag(value, UART_FCR_CLEAR_RCVR)) {
    state_.received.clear();
    input_drained(due);
  }
}

void Serial::set_modem_control(std::uint8_t value, Due& due) {
  const std::uint8_t before = modem_lines();
  const auto out1_outside = [](std::uint8_t control) {
    return (control & (UART_MCR_OUT1 | UART_MCR_LOOP)) == UART_MCR_OUT1;
  };
  const bool was_raised =
      out1_outside(std::exchange(state_.modem_control, value & kModemControlBits));
  if (!was_raised && out1_outside(value)) state_.window_left = kSerialInputWindow;
  note_modem_change(before);
  input_drained(due);
}

void Serial::note_modem_change(std::uint8_t before) {
  const std::uint8_t after = modem_lines();
  const std::uint8_t changed = before ^ after;
  std::uint8_t deltas = 0;
  if (has_flag(changed, UART_MSR_CTS)) deltas |= UART_MSR_DCTS;
  if (has_flag(changed, UART_MSR_DSR)) deltas |= UART_MSR_DDSR;
  if (has_flag(changed, UART_MSR_DCD)) deltas |= UART_MSR_DDCD;
  if (has_flag(before & ~after, UART_MSR_RI)) deltas |= UART_MSR_TERI;
  if (deltas == 0) return;
  state_.modem_deltas |= deltas;
  interrupt_if(true, UART_IER_MSI);
}

std::size_t Serial::feed(std::span<const std::byte> bytes) {
  const MutexLock lock(mutex_);
  if (bytes.empty()) return 0;
  const std::size_t count = std::min(input_room(), bytes.size());
  if (wiring_.windowed) state_.window_left -= static_cast<std::uint32_t>(count);
  for (const std::byte byte : bytes.first(count)) {
    state_.received.push_back(std::to_integer<std::uint8_t>(byte));
  }
  starved_ = count < bytes.size();
  interrupt_if(count > 0, UART_IER_RDI);
  return count;
}

void Serial::end_input() {
  const MutexLock lock(mutex_);
  state_.input_ended = true;
  starved_ = false;
  Due nothing;
  input_drained(nothing);
}

bool Serial::latch_open() const { return has_flag(state_.line_control, UART_LCR_DLAB); }

std::size_t Serial::input_room() const {
  if (has_flag(state_.modem_control, UART_MCR_LOOP)) return 0;
  const std::size_t room = kSerialInputRoom - state_.received.size();
  return wiring_.windowed ? std::min<std::size_t>(room, state_.window_left) : room;
}

std::uint8_t Serial::modem_lines() const {
  if (!has_flag(state_.modem_control, UART_MCR_LOOP)) {
    return UART_MSR_CTS | UART_MSR_DCD | (state_.dsr ? UART_MSR_DSR : 0);
  }
  std::uint8_t lines = 0;
  if (has_flag(state_.modem_control, UART_MCR_DTR)) lines |= UART_MSR_DSR;
  if (has_flag(state_.modem_control, UART_MCR_RTS)) lines |= UART_MSR_CTS;
  if (has_flag(state_.modem_control, UART_MCR_OUT1)) lines |= UART_MSR_RI;
  if (has_flag(state_.modem_control, UART_MCR_OUT2)) lines |= UART_MSR_DCD;
  return lines;
}

std::uint8_t Serial::line_status() const {
  return state_.line_errors | (state_.received.empty() ? 0 : UART_LSR_DR) |
         (blocked_ ? 0 : UART_LSR_THRE | UART_LSR_TEMT);
}

std::uint8_t Serial::cause() const {
  const std::uint8_t enabled = state_.interrupt_enable;
  if (has_flag(enabled, UART_IER_RLSI) && state_.line_errors != 0) return UART_IIR_RLSI;
  if (has_flag(enabled, UART_IER_RDI) && !state_.received.empty()) {
    // Below the trigger level, what tells of the rest is the timeout; here it is over at once.
    const bool below = has_flag(state_.fifo_control, UART_FCR_ENABLE_FIFO) &&
                       state_.received.size() < trigger_level(state_.fifo_control);
    return below ? UART_IIR_RX_TIMEOUT : UART_IIR_RDI;
  }
  if (has_flag(enabled, UART_IER_THRI) && state_.thre_pending) return UART_IIR_THRI;
  if (has_flag(enabled, UART_IER_MSI) && state_.modem_deltas != 0) return UART_IIR_MSI;
  return UART_IIR_NO_INT;
}

// OUT2, which gates the line on a PC's board, is not asked: guests that forget it work on the peers
// as well.
void Serial::interrupt_if(bool arisen, std::uint8_t enable_bit) {
  if (arisen && has_flag(state_.interrupt_enable, enable_bit)) wiring_.interrupt.trigger();
}

}  // namespace mote::devices
