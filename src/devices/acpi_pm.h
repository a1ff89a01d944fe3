// AcpiPm holds the two sleep registers of a hardware-reduced ACPI machine (ACPI 6.5, 4.8.3.7),
// which the FADT names: writing "enable" with the type of S5 powers the VM off.
#pragma once

#include "devices/byte_registers.h"
#include "devices/end.h"

namespace mote::devices {

inline constexpr std::uint64_t kSleepControlPort = 0x600;
inline constexpr std::uint64_t kSleepStatusPort = 0x601;
inline constexpr std::uint64_t kAcpiPmPorts = 2;

// The value of \_S5's package in the DSDT, and the bits of the control register around it.
inline constexpr std::uint8_t kSleepTypeS5 = 5;
inline constexpr std::uint8_t kSleepTypeShift = 2;
inline constexpr std::uint8_t kSleepTypeMask = 7 << kSleepTypeShift;
inline constexpr std::uint8_t kSleepEnable = 1 << 5;

class AcpiPm final : public ByteRegisters {
 public:
  explicit AcpiPm(EndSink end) : end_(std::move(end)) {}

 private:
  // The enable bit reads as 0; a machine that never slept has no wake status.
  std::uint8_t read_register(std::uint64_t) override { return 0; }
  void write_register(std::uint64_t offset, std::uint8_t value) override {
    if (offset != 0 || (value & kSleepEnable) == 0) return;
    if ((value & kSleepTypeMask) != kSleepTypeS5 << kSleepTypeShift) return note_missed_write();
    end_({.reason = EndReason::kPowerOff, .status = 0, .message = {}});
  }

  const EndSink end_;
};

}  // namespace mote::devices
