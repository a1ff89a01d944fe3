// What a user says of memory that is plugged in while the guest runs ("memory-hotplug").
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

#include "base/json_rules.h"
#include "base/result.h"

namespace mote::virtio {

struct MemConfig {
  std::uint32_t total_size_mib = 0;      // that can be plugged in: a multiple of the slot
  std::uint32_t block_size_mib = 2;      // that is plugged at once: a power of two, at least 2
  std::uint32_t slot_size_mib = 128;     // that is protected at once: blocks, at least 128
  std::uint32_t requested_size_mib = 0;  // that the guest is to plug at its start: blocks
};
BOOST_DESCRIBE_STRUCT(MemConfig, (),
                      (total_size_mib, block_size_mib, slot_size_mib, requested_size_mib))
constexpr auto json_rules(const MemConfig*) {
  return std::array{json::defaulted("block_size_mib"), json::defaulted("slot_size_mib"),
                    json::sparse("requested_size_mib")};
}

// Whether the values make sense, without a look at the host.
Result<void> check(const MemConfig& config);
// Whether so much can be asked for: a multiple of the block, at most all.
Result<void> check_requested(const MemConfig& config, std::uint32_t requested_size_mib);

}  // namespace mote::virtio
