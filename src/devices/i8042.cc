#include "devices/i8042.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mote::devices {
namespace {

constexpr std::uint64_t kDataPort = 0;
constexpr std::uint64_t kCommandPort = 4;
constexpr std::size_t kOutputRoom = 16;

// Status register.
constexpr std::uint8_t kOutputFull = 0x01;
constexpr std::uint8_t kSystemFlag = 0x04;
constexpr std::uint8_t kLastWasCommand = 0x08;
constexpr std::uint8_t kUnlocked = 0x10;

// Configuration ("command") byte.
constexpr std::uint8_t kKeyboardInterrupt = 0x01;
constexpr std::uint8_t kKeyboardOff = 0x10;
constexpr std::uint8_t kAuxOff = 0x20;
constexpr std::uint8_t kTranslate = 0x40;

// Output port: the line of bit 0 is the processors' reset, active low.
constexpr std::uint8_t kNotReset = 0x01;
constexpr std::uint8_t kA20 = 0x02;

namespace command {
constexpr std::uint8_t kReadConfiguration = 0x20;
constexpr std::uint8_t kWriteConfiguration = 0x60;
constexpr std::uint8_t kAuxDisable = 0xa7;
constexpr std::uint8_t kAuxEnable = 0xa8;
constexpr std::uint8_t kAuxTest = 0xa9;
constexpr std::uint8_t kSelfTest = 0xaa;
constexpr std::uint8_t kKeyboardTest = 0xab;
constexpr std::uint8_t kKeyboardDisable = 0xad;
constexpr std::uint8_t kKeyboardEnable = 0xae;
constexpr std::uint8_t kReadInputPort = 0xc0;
constexpr std::uint8_t kReadOutputPort = 0xd0;
constexpr std::uint8_t kWriteOutputPort = 0xd1;
constexpr std::uint8_t kKeyboardLoop = 0xd2;
constexpr std::uint8_t kAuxLoop = 0xd3;
constexpr std::uint8_t kAuxWrite = 0xd4;
constexpr std::uint8_t kPulse = 0xf0;  // to 0xff: pulls the output lines whose bit is 0
}  // namespace command

constexpr std::uint8_t kAuxClockStuckLow = 0x01;  // the aux test's answer where nothing is plugged

namespace keyboard {
constexpr std::uint8_t kSetLeds = 0xed;
constexpr std::uint8_t kEcho = 0xee;
constexpr std::uint8_t kScanCodeSet = 0xf0;
constexpr std::uint8_t kIdentify = 0xf2;
constexpr std::uint8_t kSetRate = 0xf3;
constexpr std::uint8_t kEnable = 0xf4;
constexpr std::uint8_t kDefaultsOff = 0xf5;
constexpr std::uint8_t kDefaults = 0xf6;
constexpr std::uint8_t kResend = 0xfe;
constexpr std::uint8_t kReset = 0xff;
constexpr std::uint8_t kAck = 0xfa;
constexpr std::uint8_t kSelfTestPassed = 0xaa;
}  // namespace keyboard

// Ctrl, Alt, Del down, and up again: as scan code set 2, and as the controller translates them.
constexpr std::array<std::uint8_t, 11> kCtrlAltDelSet2{0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0,
                                                       0x71, 0xf0, 0x11, 0xf0, 0x14};
constexpr std::array<std::uint8_t, 8> kCtrlAltDelSet1{0x1d, 0x38, 0xe0, 0x53,
                                                      0xe0, 0xd3, 0xb8, 0x9d};

}  // namespace

Result<std::unique_ptr<I8042>> I8042::restore(I8042State state, bus::Interrupt& interrupt,
                                              EndSink end) {
  if (state.output.size() > kOutputRoom) {
    return fail(ErrorKind::kInvalid, "keyboard controller state: {} unread bytes; at most {} fit",
                state.output.size(), kOutputRoom);
  }
  return std::unique_ptr<I8042>(new I8042(interrupt, std::move(end), std::move(state)));
}

I8042State I8042::save() const {
  const MutexLock lock(mutex_);
  return state_;
}

I8042Metrics I8042::metrics() const {
  I8042Metrics copy = metrics_;
  copy.missed_read_count = missed_reads();
  copy.missed_write_count = missed_writes();
  return copy;
}

std::uint8_t I8042::read_register(std::uint64_t offset) {
  const MutexLock lock(mutex_);
  if (offset == kCommandPort) {
    ++metrics_.read_count;
    return kUnlocked | kSystemFlag | (state_.last_write_was_command ? kLastWasCommand : 0) |
           (state_.output.empty() ? 0 : kOutputFull);
  }
  if (offset != kDataPort) return note_missed_read();
  ++metrics_.read_count;
  if (!state_.output.empty()) {
    state_.last_data = state_.output.front();
    state_.output.erase(state_.output.begin());
    announce();
  }
  return state_.last_data;
}

void I8042::write_register(std::uint64_t offset, std::uint8_t value) {
  bool reset = false;
  {
    const MutexLock lock(mutex_);
    if (offset != kDataPort && offset != kCommandPort) return note_missed_write();
    ++metrics_.write_count;
    state_.last_write_was_command = offset == kCommandPort;
    if (offset == kCommandPort) {
      reset = take_command(value);
    } else if (const std::uint8_t command = std::exchange(state_.command, 0); command != 0) {
      reset = take_parameter(command, value);
    } else {
      take_keyboard_byte(value);
    }
    if (reset) ++metrics_.reset_count;
  }
  if (reset) end_({.reason = EndReason::kReset, .status = 0, .message = {}});
}

bool I8042::take_command(std::uint8_t value) {
  // An answer to a command replaces what was not read, so that a driver which gave up on an earlier
  // one does not take its answer for this one's.
  const auto answer = [this](std::uint8_t byte) REQUIRES(mutex_) {
    state_.output.clear();
    put(byte);
  };
  state_.command = 0;
  switch (value) {
    case command::kReadConfiguration:
      answer(state_.configuration);
      return false;
    case command::kWriteConfiguration:
    case command::kWriteOutputPort:
    case command::kKeyboardLoop:
    case command::kAuxLoop:
    case command::kAuxWrite:
      state_.command = value;
      return false;
    case command::kAuxDisable:
      state_.configuration |= kAuxOff;
      return false;
    case command::kAuxEnable:
      state_.configuration &= static_cast<std::uint8_t>(~kAuxOff);
      return false;
    case command::kAuxTest:
      answer(kAuxClockStuckLow);
      return false;
    case command::kSelfTest:
      answer(0x55);
      return false;
    case command::kKeyboardTest:
    case command::kReadInputPort:
      answer(0);
      return false;
    case command::kKeyboardDisable:
      state_.configuration |= kKeyboardOff;
      return false;
    case command::kKeyboardEnable:
      state_.configuration &= static_cast<std::uint8_t>(~kKeyboardOff);
      return false;
    case command::kReadOutputPort:
      answer(kNotReset | kA20);
      return false;
    default:
      if (value >= command::kPulse) return (value & kNotReset) == 0;
      note_missed_write();
      return false;
  }
}

bool I8042::take_parameter(std::uint8_t command, std::uint8_t value) {
  switch (command) {
    case command::kWriteConfiguration:
      state_.configuration = value;
      announce();
      return false;
    case command::kWriteOutputPort:
      return (value & kNotReset) == 0;
    case command::kKeyboardLoop:
    case command::kAuxLoop:  // comes back as the keyboard's, which tells that no mouse is there
      put(value);
      return false;
    default:  // to a mouse that is not there
      return false;
  }
}

void I8042::take_keyboard_byte(std::uint8_t value) {
  if (std::exchange(state_.keyboard_command, 0) != 0) return put(keyboard::kAck);
  switch (value) {
    case keyboard::kSetLeds:
    case keyboard::kSetRate:
    case keyboard::kScanCodeSet:
      state_.keyboard_command = value;
      return put(keyboard::kAck);
    case keyboard::kEcho:
      return put(keyboard::kEcho);
    case keyboard::kIdentify:
      return put(std::array<std::uint8_t, 3>{keyboard::kAck, 0xab, 0x83});
    case keyboard::kEnable:
    case keyboard::kDefaultsOff:
    case keyboard::kDefaults:
      return put(keyboard::kAck);
    case keyboard::kResend:
      return put(state_.last_data);
    case keyboard::kReset:
      return put(std::array{keyboard::kAck, keyboard::kSelfTestPassed});
    default:
      return put(keyboard::kResend);
  }
}

void I8042::put(std::span<const std::uint8_t> bytes) {
  if (bytes.size() > kOutputRoom - state_.output.size()) {
    metrics_.error_count += bytes.size();
    return;
  }
  const bool was_empty = state_.output.empty();
  state_.output.insert(state_.output.end(), bytes.begin(), bytes.end());
  if (was_empty) announce();
}

// The next byte stands in the output buffer: an edge, where the guest wants one.
void I8042::announce() {
  if (!state_.output.empty() && (state_.configuration & kKeyboardInterrupt) != 0) {
    interrupt_.trigger();
  }
}

namespace {

// Whether the last of `keys` is what the guest has not read: it may have read some.
bool waits(std::span<const std::uint8_t> keys, std::span<const std::uint8_t> unread) {
  return !unread.empty() && unread.size() <= keys.size() &&
         std::ranges::equal(keys.last(unread.size()), unread);
}

}  // namespace

Result<void> I8042::trigger_ctrl_alt_del() {
  const MutexLock lock(mutex_);
  if ((state_.configuration & kKeyboardOff) != 0) {
    return fail(ErrorKind::kState,
                "Ctrl-Alt-Del: the guest has switched its keyboard off; it needs a keyboard driver "
                "(i8042 and atkbd)");
  }
  if (waits(kCtrlAltDelSet1, state_.output) || waits(kCtrlAltDelSet2, state_.output)) return {};
  if (!state_.output.empty()) {
    return fail(ErrorKind::kState,
                "Ctrl-Alt-Del: the guest has not read what the keyboard sent before; it needs a "
                "keyboard driver "
                "(i8042 and atkbd)");
  }
  if ((state_.configuration & kTranslate) != 0) {
    put(kCtrlAltDelSet1);
  } else {
    put(kCtrlAltDelSet2);
  }
  return {};
}

}  // namespace mote::devices
