// What a user says of a network interface of a guest.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json_rules.h"
#include "base/result.h"
#include "virtio/rate_limiter.h"

namespace mote::virtio {

inline constexpr std::uint32_t kMinMtu = 68;  // what IPv4 asks of every network (RFC 791)
inline constexpr std::uint32_t kMaxMtu = 65535;
// Pairs of queues; a machine has no more vCPUs to use them.
inline constexpr std::uint32_t kMaxQueuePairs = 32;

struct NetConfig {
  std::string iface_id;
  // The tap on the host. One that is not there is made where rights allow; see network::Tap.
  std::optional<std::string> host_dev_name{};
  std::optional<std::string> guest_mac{};  // absent: the guest makes one up
  std::optional<std::uint32_t> mtu{};      // kMinMtu to kMaxMtu; absent: the guest's own
  std::optional<RateLimiterConfig> rx_rate_limiter{};  // into the guest
  std::optional<RateLimiterConfig> tx_rate_limiter{};  // out of it
  // Ours: pairs of one queue in and one out, 1 to kMaxQueuePairs. More than one needs a tap made
  // for it.
  std::uint32_t num_queues = 1;
  // Ours: queues of a tap that are open in this process already, one a pair, in place of
  // host_dev_name.
  std::vector<std::int32_t> tap_fds{};
};
BOOST_DESCRIBE_STRUCT(NetConfig, (),
                      (iface_id, host_dev_name, guest_mac, mtu, rx_rate_limiter, tx_rate_limiter,
                       num_queues, tap_fds))
constexpr auto json_rules(const NetConfig*) {
  return std::array{json::sparse("num_queues"), json::sparse("tap_fds")};
}

// Whether the values make sense, without a look at the host: the error names the interface and the
// field.
Result<void> check(const NetConfig& config);
// What must hold between a machine's interfaces: each has its own MAC address and tap.
Result<void> check_together(std::span<const NetConfig> configs);

}  // namespace mote::virtio
