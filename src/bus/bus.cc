#include "bus/bus.h"

#include <algorithm>
#include <cstring>

namespace mote::bus {

Result<void> Bus::insert(std::uint64_t base, std::uint64_t size, BusDevice& device,
                         std::uint64_t offset) {
  if (size == 0 || size > UINT64_MAX - base) {
    return fail(ErrorKind::kInternal, "a device of {} bytes cannot be at {:#x}", size, base);
  }
  const auto next = std::ranges::upper_bound(entries_, base, {}, &Entry::base);
  if (next != entries_.end() && base + size > next->base) {
    return fail(ErrorKind::kInternal, "a device of {} bytes at {:#x} overlaps the one at {:#x}",
                size, base, next->base);
  }
  if (next != entries_.begin()) {
    const Entry& before = *std::prev(next);
    if (before.base + before.size > base) {
      return fail(ErrorKind::kInternal, "a device of {} bytes at {:#x} overlaps the one at {:#x}",
                  size, base, before.base);
    }
  }
  entries_.insert(next, Entry{base, size, offset, &device});
  return {};
}

const Bus::Entry* Bus::find(std::uint64_t address, std::size_t length) const {
  const auto next = std::ranges::upper_bound(entries_, address, {}, &Entry::base);
  if (next == entries_.begin()) return nullptr;
  const Entry& entry = *std::prev(next);
  const std::uint64_t offset = address - entry.base;
  return offset < entry.size && length <= entry.size - offset ? &entry : nullptr;
}

bool Bus::read(std::uint64_t address, std::span<std::byte> data) const {
  const Entry* entry = find(address, data.size());
  if (entry == nullptr) {
    missed_.fetch_add(1, std::memory_order_relaxed);
    std::memset(data.data(), 0xff, data.size());
    return false;
  }
  entry->device->read(address - entry->base + entry->offset, data);
  return true;
}

bool Bus::write(std::uint64_t address, std::span<const std::byte> data) const {
  const Entry* entry = find(address, data.size());
  if (entry == nullptr) {
    missed_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  entry->device->write(address - entry->base + entry->offset, data);
  return true;
}

}  // namespace mote::bus
