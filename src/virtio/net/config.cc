#include "virtio/net/config.h"

#include <algorithm>

#include "base/json.h"
#include "network/mac_address.h"
#include "network/tap.h"

namespace mote::virtio {
namespace {

template <typename... Args>
std::unexpected<Error> refuse(const NetConfig& config, fmt::format_string<Args...> format,
                              Args&&... args) {
  return fail(ErrorKind::kInvalid, "interface {}: {}", json::quote(config.iface_id),
              fmt::format(format, std::forward<Args>(args)...));
}

Result<void> check_tap(const NetConfig& config) {
  if (config.host_dev_name && !config.tap_fds.empty()) {
    return refuse(config, "host_dev_name and tap_fds are both given; one of them is the tap");
  }
  if (config.host_dev_name) {
    if (auto sound = network::check_tap_name(*config.host_dev_name); !sound) {
      return refuse(config, "host_dev_name {} is not a name of an interface: {}",
                    json::quote(*config.host_dev_name), sound.error().message());
    }
    return {};
  }
  if (config.tap_fds.empty()) {
    return refuse(config, "host_dev_name is missing; name a tap of the host");
  }
  if (config.tap_fds.size() != config.num_queues) {
    return refuse(config, "tap_fds has {} descriptors and num_queues is {}; it must have one each",
                  config.tap_fds.size(), config.num_queues);
  }
  for (auto fd = config.tap_fds.begin(); fd != config.tap_fds.end(); ++fd) {
    constexpr std::int32_t kFirst = 3;  // behind the standard streams
    if (*fd < kFirst) return refuse(config, "tap_fds has {}; it must be {} or more", *fd, kFirst);
    if (std::find(config.tap_fds.begin(), fd, *fd) != fd) {
      return refuse(config, "tap_fds has {} twice", *fd);
    }
  }
  return {};
}

}  // namespace

Result<void> check(const NetConfig& config) {
  if (config.iface_id.empty()) {
    return fail(ErrorKind::kInvalid, "an interface has an empty iface_id; give it a name");
  }
  if (config.num_queues < 1 || config.num_queues > kMaxQueuePairs) {
    return refuse(config, "num_queues is {}; it must be from 1 to {}", config.num_queues,
                  kMaxQueuePairs);
  }
  MOTE_CHECK(check_tap(config));
  if (config.guest_mac && !network::parse_mac(*config.guest_mac)) {
    return refuse(config, "guest_mac is {}; it must be like \"06:00:ac:10:00:02\"",
                  json::quote(*config.guest_mac));
  }
  if (config.mtu && (*config.mtu < kMinMtu || *config.mtu > kMaxMtu)) {
    return refuse(config, "mtu is {}; it must be from {} to {}", *config.mtu, kMinMtu, kMaxMtu);
  }
  return {};
}

Result<void> check_together(std::span<const NetConfig> configs) {
  for (auto one = configs.begin(); one != configs.end(); ++one) {
    for (auto other = configs.begin(); other != one; ++other) {
      if (one->guest_mac && other->guest_mac &&
          network::parse_mac(*one->guest_mac) == network::parse_mac(*other->guest_mac)) {
        return refuse(*one, "guest_mac {} is that of interface {} as well",
                      json::quote(*one->guest_mac), json::quote(other->iface_id));
      }
      // Where the host chooses, it chooses two.
      const bool chosen =
          one->host_dev_name &&
          (one->host_dev_name->empty() || one->host_dev_name->find('%') != std::string::npos);
      if (one->host_dev_name && one->host_dev_name == other->host_dev_name && !chosen) {
        return refuse(*one, "host_dev_name {} is that of interface {} as well",
                      json::quote(*one->host_dev_name), json::quote(other->iface_id));
      }
      for (const std::int32_t fd : one->tap_fds) {
        if (std::find(other->tap_fds.begin(), other->tap_fds.end(), fd) == other->tap_fds.end()) {
          continue;
        }
        return refuse(*one, "tap_fds has {}, which interface {} has as well", fd,
                      json::quote(other->iface_id));
      }
    }
  }
  return {};
}

}  // namespace mote::virtio
