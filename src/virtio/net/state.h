// What of a network device is saved beside its queues: what its driver was told, and asked for.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "virtio/rate_limiter.h"

namespace mote::virtio {

struct NetState {
  std::optional<std::string> guest_mac{};
  std::optional<std::uint32_t> mtu{};
  std::uint32_t num_queues = 1;
  std::uint32_t active_queues = 1;  // pairs that the driver uses
  RateLimiterState rx_rate_limiter{};
  RateLimiterState tx_rate_limiter{};
};
BOOST_DESCRIBE_STRUCT(NetState, (),
                      (guest_mac, mtu, num_queues, active_queues, rx_rate_limiter, tx_rate_limiter))

}  // namespace mote::virtio
