// What tests of plain chips share: byte accesses, an interrupt that counts, a sink that a test
// fills up, and accesses of every width and offset.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/byte_sink.h"
#include "bus/bus.h"
#include "bus/interrupt.h"
#include "devices/end.h"

namespace mote::devices {

class CountingInterrupt final : public bus::Interrupt {
 public:
  void trigger() override { ++count; }
  // How many came since the last call.
  int take() { return std::exchange(count, 0); }
  int count = 0;
};

class FakeSink final : public ByteSink {
 public:
  Result<std::size_t> write(std::span<const std::byte> bytes) override {
    if (broken) return fail(ErrorKind::kIo, "nobody reads");
    const std::size_t count = std::min(room, bytes.size());
    for (const std::byte byte : bytes.first(count)) text += static_cast<char>(byte);
    room -= count;
    ++writes;
    return count;
  }
  std::string text;
  std::size_t room = SIZE_MAX;
  int writes = 0;
  bool broken = false;
};

struct EndRecorder {
  std::vector<End> ends;
  EndSink sink() {
    return [this](End end) { ends.push_back(std::move(end)); };
  }
};

inline std::uint8_t in8(bus::BusDevice& device, std::uint64_t offset) {
  std::array<std::byte, 1> data{};
  device.read(offset, data);
  return std::to_integer<std::uint8_t>(data[0]);
}

inline void out8(bus::BusDevice& device, std::uint64_t offset, int value) {
  const std::array data{static_cast<std::byte>(value)};
  device.write(offset, data);
}

// Reads and writes of 2, 4 and 8 bytes at each offset, and of 1 byte far outside: reads give ones.
inline void expect_no_wide_registers(bus::BusDevice& device) {
  for (const std::uint64_t offset : {0ULL, 1ULL, 4ULL, 7ULL, 8ULL, 1ULL << 32, ~0ULL}) {
    for (const std::size_t width : {2U, 4U, 8U}) {
      std::array<std::byte, 8> data{};
      device.read(offset, std::span(data).first(width));
      for (std::size_t i = 0; i < width; ++i) EXPECT_EQ(data[i], std::byte{0xff});
      data.fill(std::byte{0xfe});
      device.write(offset, std::span(data).first(width));
    }
  }
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace mote::devices
