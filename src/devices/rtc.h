// Rtc is a PC's CMOS chip (Motorola MC146818): the time of day in UTC, and 128 bytes of which a few
// tell the memory size. The clock follows the host's; a guest that sets it keeps a distance to it.
// It has no alarm and no periodic interrupt: their enable bits read back as 0.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/sync.h"
#include "devices/byte_registers.h"

namespace mote::devices {

inline constexpr std::uint64_t kRtcPort = 0x70;  // index; data at 0x71
inline constexpr std::uint64_t kRtcPorts = 2;

struct RtcState {
  std::uint8_t index = 0;
  std::int64_t offset_seconds = 0;         // the guest's clock minus the host's
  std::array<std::uint8_t, 128> memory{};  // time registers: as frozen while the guest sets them
};
BOOST_DESCRIBE_STRUCT(RtcState, (), (index, offset_seconds, memory))

class Rtc final : public ByteRegisters {
 public:
  // The host's time of day in nanoseconds since 1970.
  using Clock = std::function<std::int64_t()>;
  static std::int64_t host_clock();

  // For a machine with `below_4g` and `above_4g` bytes of memory on either side of 4 GiB.
  Rtc(std::uint64_t below_4g, std::uint64_t above_4g, Clock clock = host_clock);
  static Result<std::unique_ptr<Rtc>> restore(const RtcState& state, Clock clock = host_clock);
  RtcState save() const EXCLUDES(mutex_);

 private:
  Rtc(const RtcState& state, Clock clock) : clock_(std::move(clock)), state_(state) {}

  std::uint8_t read_register(std::uint64_t offset) override EXCLUDES(mutex_);
  void write_register(std::uint64_t offset, std::uint8_t value) override EXCLUDES(mutex_);

  std::uint8_t read_memory(std::uint8_t index) const REQUIRES(mutex_);
  void write_memory(std::uint8_t index, std::uint8_t value) REQUIRES(mutex_);
  // The guest's time now.
  std::int64_t seconds() const REQUIRES(mutex_);
  bool setting() const REQUIRES(mutex_);
  // Puts the time into its registers, in the format that register B asks for.
  void freeze() REQUIRES(mutex_);
  // Makes the registers' time the guest's; registers that are no time leave it as it was.
  void adopt() REQUIRES(mutex_);
  std::uint8_t encode(int value) const REQUIRES(mutex_);
  std::optional<int> decode(std::uint8_t index) const REQUIRES(mutex_);
  std::uint8_t encode_hour(int hour) const REQUIRES(mutex_);
  std::optional<int> decode_hour() const REQUIRES(mutex_);

  const Clock clock_;
  mutable Mutex mutex_;
  RtcState state_ GUARDED_BY(mutex_);
};

}  // namespace mote::devices
