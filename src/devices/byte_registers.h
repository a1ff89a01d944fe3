// ByteRegisters is what chips with registers of one byte have in common: an access of any other
// width is no register of theirs. It reads as all ones, changes nothing and is counted.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>

#include "bus/bus.h"

namespace mote::devices {

constexpr bool has_flag(int value, int flag) { return (value & flag) != 0; }

class ByteRegisters : public bus::BusDevice {
 public:
  void read(std::uint64_t offset, std::span<std::byte> data) final {
    if (data.size() != 1) {
      std::ranges::fill(data, std::byte{0xff});
      missed_reads_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    data[0] = std::byte{read_register(offset)};
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) final {
    if (data.size() != 1) {
      missed_writes_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    write_register(offset, std::to_integer<std::uint8_t>(data[0]));
  }

  // Accesses of a width that no register has, and those that note_missed_*() was called for.
  std::uint64_t missed_reads() const { return missed_reads_.load(std::memory_order_relaxed); }
  std::uint64_t missed_writes() const { return missed_writes_.load(std::memory_order_relaxed); }

 protected:
  // One byte at any offset.
  virtual std::uint8_t read_register(std::uint64_t offset) = 0;
  virtual void write_register(std::uint64_t offset, std::uint8_t value) = 0;

  // A read of an offset where nothing is: counts it and gives what to answer.
  std::uint8_t note_missed_read() {
    missed_reads_.fetch_add(1, std::memory_order_relaxed);
    return 0xff;
  }
  void note_missed_write() { missed_writes_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> missed_reads_ = 0;
  std::atomic<std::uint64_t> missed_writes_ = 0;
};

}  // namespace mote::devices
