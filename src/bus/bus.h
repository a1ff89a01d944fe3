// Bus finds the device behind an address: one instance for port I/O, one for MMIO. Filled while the
// machine is assembled, read-only while vCPUs run, so that dispatch takes no lock; a device guards
// its own registers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace mote::bus {

// Something that answers reads and writes at offsets from its base. Called from vCPU threads, any
// of them, at once. `data` is 1, 2, 4 or 8 bytes, little-endian; every offset and width that a
// guest can produce arrives here.
class BusDevice {
 public:
  virtual ~BusDevice() = default;
  // Fills `data`, all of it. What a device does not claim reads as all ones.
  virtual void read(std::uint64_t offset, std::span<std::byte> data) = 0;
  virtual void write(std::uint64_t offset, std::span<const std::byte> data) = 0;
};

class Bus {
 public:
  // Puts `device` at [base, base + size), where its registers from `offset` on are: one whose
  // registers lie apart is there more than once. An error when that overlaps another device or
  // wraps. The device outlives the bus's use.
  Result<void> insert(std::uint64_t base, std::uint64_t size, BusDevice& device,
                      std::uint64_t offset = 0);

  // Dispatches; false when nobody is there (a read then fills `data` with ones). An access that
  // begins inside a device and passes its end is nobody's.
  bool read(std::uint64_t address, std::span<std::byte> data) const;
  bool write(std::uint64_t address, std::span<const std::byte> data) const;

  // Accesses that found nobody.
  std::uint64_t missed() const { return missed_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    std::uint64_t base = 0;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;  // of `base` in the device
    BusDevice* device = nullptr;
  };
  const Entry* find(std::uint64_t address, std::size_t length) const;

  std::vector<Entry> entries_;  // ascending by base
  mutable std::atomic<std::uint64_t> missed_ = 0;
};

}  // namespace mote::bus
