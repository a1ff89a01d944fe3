// ExitPort is a byte port through which a guest ends its VM and hands back a status. There only
// where the user asks for it.
#pragma once

#include "devices/byte_registers.h"
#include "devices/end.h"

namespace mote::devices {

inline constexpr std::uint64_t kExitPort = 0x501;

class ExitPort final : public ByteRegisters {
 public:
  explicit ExitPort(EndSink end) : end_(std::move(end)) {}

 private:
  std::uint8_t read_register(std::uint64_t) override { return note_missed_read(); }
  void write_register(std::uint64_t, std::uint8_t value) override {
    end_({.reason = EndReason::kExitPort, .status = value, .message = {}});
  }

  const EndSink end_;
};

}  // namespace mote::devices
