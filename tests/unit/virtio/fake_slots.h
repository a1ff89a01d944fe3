// A table of memory slots that remembers which ones the guest has, and fails on demand.
#pragma once

#include <cstdint>
#include <map>

#include "memory/address_space.h"

namespace mote::virtio::test {

class FakeSlots final : public memory::SlotTable {
 public:
  struct Entry {
    memory::Range range;
    std::byte* host = nullptr;
    memory::Access access = memory::Access::kWrite;
  };
  Result<void> set(std::uint32_t number, const memory::Range& range, std::byte* host,
                   memory::Access access) override {
    if (fail_next) {
      fail_next = false;
      return fail(ErrorKind::kResource, "the fake table is full");
    }
    if (!slots.emplace(number, Entry{range, host, access}).second) ++misuses;
    return {};
  }
  Result<void> clear(std::uint32_t number, const memory::Range& range) override {
    const auto at = slots.find(number);
    if (at == slots.end() || at->second.range.start != range.start) ++misuses;
    if (at != slots.end()) slots.erase(at);
    return {};
  }

  std::map<std::uint32_t, Entry> slots;
  int misuses = 0;  // a number set twice, or cleared without being set
  bool fail_next = false;
};

// 8 GiB of addresses for what devices bring, from 8 GiB on.
inline std::vector<memory::Range> device_window() {
  return {{.start = std::uint64_t{8} << 30, .size = std::uint64_t{8} << 30}};
}

}  // namespace mote::virtio::test
