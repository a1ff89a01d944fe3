#include "devices/rtc.h"

#include <algorithm>
#include <chrono>

namespace mote::devices {

namespace chrono = std::chrono;

namespace {

enum Register : std::uint8_t {
  kSeconds = 0,
  kMinutes = 2,
  kHours = 4,
  kWeekday = 6,
  kDay = 7,
  kMonth = 8,
  kYear = 9,
  kA = 0x0a,
  kB = 0x0b,
  kC = 0x0c,
  kD = 0x0d,
  kBaseMemory = 0x15,      // KiB below 640 KiB, two bytes
  kExtendedMemory = 0x17,  // KiB from 1 MiB on, two bytes; also at 0x30
  kExtendedMemory2 = 0x30,
  kCentury = 0x32,
  kMemoryAbove16M = 0x34,  // units of 64 KiB, two bytes
  kMemoryAbove4G = 0x5b,   // units of 64 KiB, three bytes
};
constexpr std::array kTimeRegisters{kSeconds, kMinutes, kHours, kWeekday,
                                    kDay,     kMonth,   kYear,  kCentury};

constexpr std::uint8_t kUpdateInProgress = 0x80;  // A
constexpr std::uint8_t kDivider = 0x26;           // A: 32768 Hz, 1024 Hz
constexpr std::uint8_t kSet = 0x80;               // B: the guest is writing the time
constexpr std::uint8_t kInterrupts = 0x70;        // B: periodic, alarm, update
constexpr std::uint8_t kBinary = 0x04;            // B
constexpr std::uint8_t k24Hours = 0x02;           // B
constexpr std::uint8_t kValid = 0x80;             // D
constexpr std::uint8_t kAfternoon = 0x80;         // hours, where there are 12

constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr std::int64_t kUpdateWarning = 244'000;  // ns; the data sheet's time from the bit to the
                                                  // change
constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;

bool is_time(std::uint8_t index) {
  return std::ranges::find(kTimeRegisters, index) != kTimeRegisters.end();
}

void put(RtcState& state, std::uint8_t index, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) {
    state.memory[index + i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
}

RtcState fresh(std::uint64_t below_4g, std::uint64_t above_4g) {
  RtcState state;
  state.memory[kA] = kDivider;
  state.memory[kB] = k24Hours;
  put(state, kBaseMemory, 640, 2);
  const std::uint64_t from_1m = below_4g > kMiB ? (below_4g - kMiB) / kKiB : 0;
  put(state, kExtendedMemory, std::min<std::uint64_t>(from_1m, 0xffff), 2);
  put(state, kExtendedMemory2, std::min<std::uint64_t>(from_1m, 0xffff), 2);
  const std::uint64_t from_16m = below_4g > 16 * kMiB ? (below_4g - 16 * kMiB) / (64 * kKiB) : 0;
  put(state, kMemoryAbove16M, std::min<std::uint64_t>(from_16m, 0xffff), 2);
  put(state, kMemoryAbove4G, std::min<std::uint64_t>(above_4g / (64 * kKiB), 0xffffff), 3);
  return state;
}

}  // namespace

std::int64_t Rtc::host_clock() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * kNanoseconds + now.tv_nsec;
}

Rtc::Rtc(std::uint64_t below_4g, std::uint64_t above_4g, Clock clock)
    : Rtc(fresh(below_4g, above_4g), std::move(clock)) {}

Result<std::unique_ptr<Rtc>> Rtc::restore(const RtcState& state, Clock clock) {
  if (state.index >= state.memory.size()) {
    return fail(ErrorKind::kInvalid, "clock state: index {}; there are {} registers", state.index,
                state.memory.size());
  }
  // 300,000 years: what keeps sums with the host's time inside 64 bits.
  constexpr std::int64_t kFar = std::int64_t{1} << 43;
  if (state.offset_seconds > kFar || state.offset_seconds < -kFar) {
    return fail(ErrorKind::kInvalid, "clock state: {} s apart from the host's clock",
                state.offset_seconds);
  }
  return std::unique_ptr<Rtc>(new Rtc(state, std::move(clock)));
}

RtcState Rtc::save() const {
  const MutexLock lock(mutex_);
  return state_;
}

std::uint8_t Rtc::read_register(std::uint64_t offset) {
  if (offset >= kRtcPorts) return note_missed_read();
  const MutexLock lock(mutex_);
  return offset == 0 ? 0xff : read_memory(state_.index);  // the index is write-only
}

void Rtc::write_register(std::uint64_t offset, std::uint8_t value) {
  if (offset >= kRtcPorts) return note_missed_write();
  const MutexLock lock(mutex_);
  if (offset == 0) {
    state_.index = value & 0x7f;  // bit 7 masks the NMI on a PC's board
  } else {
    write_memory(state_.index, value);
  }
}

std::uint8_t Rtc::read_memory(std::uint8_t index) const {
  if (index == kA) {
    const bool soon = !setting() && clock_() % kNanoseconds >= kNanoseconds - kUpdateWarning;
    return state_.memory[kA] | (soon ? kUpdateInProgress : 0);
  }
  if (index == kC) return 0;
  if (index == kD) return kValid;
  if (!is_time(index) || setting()) return state_.memory[index];

  // Not gmtime(3), which brings time zones, their files and a scanner of numbers into the program.
  const chrono::sys_seconds now{chrono::seconds(seconds())};
  const auto midnight = chrono::floor<chrono::days>(now);
  const chrono::year_month_day date(midnight);
  const chrono::hh_mm_ss time(now - midnight);
  const int year{date.year()};
  switch (index) {
    case kSeconds:
      return encode(static_cast<int>(time.seconds().count()));
    case kMinutes:
      return encode(static_cast<int>(time.minutes().count()));
    case kHours:
      return encode_hour(static_cast<int>(time.hours().count()));
    case kWeekday:
      return encode(static_cast<int>(chrono::weekday(midnight).c_encoding()) + 1);
    case kDay:
      return encode(static_cast<int>(unsigned{date.day()}));
    case kMonth:
      return encode(static_cast<int>(unsigned{date.month()}));
    case kYear:
      return encode(year % 100);
    default:
      return encode(year / 100 % 100);
  }
}

void Rtc::write_memory(std::uint8_t index, std::uint8_t value) {
  switch (index) {
    case kA:
      state_.memory[kA] = value & static_cast<std::uint8_t>(~kUpdateInProgress);
      return;
    case kB: {
      const bool was_setting = setting();
      const bool will_set = (value & kSet) != 0;
      const auto kept = static_cast<std::uint8_t>(value & ~kInterrupts);
      if (was_setting) {
        // The registers hold a time in the format of before or of now, as the guest wrote them:
        // the format that it chooses along with their adoption counts.
        state_.memory[kB] = kept;
        if (!will_set) adopt();
        return;
      }
      state_.memory[kB] = static_cast<std::uint8_t>(kept & ~kSet);
      if (will_set) {
        freeze();
        state_.memory[kB] = kept;
      }
      return;
    }
    case kC:
    case kD:
      return;
    default:
      break;
  }
  if (!is_time(index) || setting()) {
    state_.memory[index] = value;
    return;
  }
  freeze();
  state_.memory[index] = value;
  adopt();
}

std::int64_t Rtc::seconds() const { return clock_() / kNanoseconds + state_.offset_seconds; }

bool Rtc::setting() const { return (state_.memory[kB] & kSet) != 0; }

void Rtc::freeze() {
  for (const std::uint8_t index : kTimeRegisters) state_.memory[index] = read_memory(index);
}

void Rtc::adopt() {
  const auto second = decode(kSeconds);
  const auto minute = decode(kMinutes);
  const auto hour = decode_hour();
  const auto day = decode(kDay);
  const auto month = decode(kMonth);
  const auto year = decode(kYear);
  const auto century = decode(kCentury);
  if (!second || !minute || !hour || !day || !month || !year || !century) return;
  // A date that there is not, such as 30 February, is as many days after the month's first.
  const auto first_of_month =
      chrono::year_month(chrono::year(*century * 100 + *year), chrono::January) +
      chrono::months(*month - 1);
  const chrono::sys_seconds time = chrono::sys_days(first_of_month / 1) + chrono::days(*day - 1) +
                                   chrono::hours(*hour) + chrono::minutes(*minute) +
                                   chrono::seconds(*second);
  state_.offset_seconds = time.time_since_epoch().count() - clock_() / kNanoseconds;
}

std::uint8_t Rtc::encode(int value) const {
  const bool binary = (state_.memory[kB] & kBinary) != 0;
  return static_cast<std::uint8_t>(binary ? value : value / 10 << 4 | value % 10);
}

std::optional<int> Rtc::decode(std::uint8_t index) const {
  const std::uint8_t raw = state_.memory[index];
  if ((state_.memory[kB] & kBinary) != 0) return raw < 100 ? std::optional<int>(raw) : std::nullopt;
  if ((raw & 0x0f) > 9 || raw >> 4 > 9) return std::nullopt;
  return (raw >> 4) * 10 + (raw & 0x0f);
}

std::uint8_t Rtc::encode_hour(int hour) const {
  if ((state_.memory[kB] & k24Hours) != 0) return encode(hour);
  const int of_12 = hour % 12 == 0 ? 12 : hour % 12;
  return encode(of_12) | (hour >= 12 ? kAfternoon : 0);
}

std::optional<int> Rtc::decode_hour() const {
  if ((state_.memory[kB] & k24Hours) != 0) return decode(kHours);
  const bool binary = (state_.memory[kB] & kBinary) != 0;
  const int raw = state_.memory[kHours] & ~kAfternoon;
  const int of_12 = binary ? raw : (raw >> 4) * 10 + (raw & 0x0f);
  if (of_12 < 1 || of_12 > 12) return std::nullopt;
  return of_12 % 12 + ((state_.memory[kHours] & kAfternoon) != 0 ? 12 : 0);
}

}  // namespace mote::devices
