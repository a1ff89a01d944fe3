// BootTimer is a byte of MMIO to which a guest writes when it is up; the log then says how long
// that took.
#pragma once

#include <chrono>

#include "devices/byte_registers.h"

namespace mote::devices {

inline constexpr std::uint64_t kBootTimerSize = 1;
inline constexpr std::uint8_t kBootTimerSignal = 123;

class BootTimer final : public ByteRegisters {
 public:
  // When the launch began: CLOCK_MONOTONIC, and the CPU time used before this process counted its
  // own (the processes that started it).
  struct Start {
    std::chrono::microseconds monotonic{};
    std::chrono::microseconds cpu_before{};
  };
  // The clocks as they stand when main() begins.
  static Start now();

  explicit BootTimer(Start start) : start_(start) {}

 private:
  std::uint8_t read_register(std::uint64_t) override { return note_missed_read(); }
  void write_register(std::uint64_t offset, std::uint8_t value) override;

  const Start start_;
};

}  // namespace mote::devices
