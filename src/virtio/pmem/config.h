// What a user says of a persistent memory.
#pragma once

#include <boost/describe/class.hpp>
#include <optional>
#include <string>

#include "base/json_rules.h"
#include "base/result.h"
#include "virtio/rate_limiter.h"

namespace mote::virtio {

struct PmemConfig {
  std::string id;
  std::string path_on_host;  // a file or a block device
  bool root_device = false;  // holds the guest's root filesystem
  bool read_only = false;
  std::optional<RateLimiterConfig> rate_limiter{};  // of flushes, each of the whole file's bytes
};
BOOST_DESCRIBE_STRUCT(PmemConfig, (), (id, path_on_host, root_device, read_only, rate_limiter))
constexpr auto json_rules(const PmemConfig*) {
  return std::array{json::defaulted("root_device"), json::defaulted("read_only")};
}

// Whether the values make sense, without a look at the host: the error names the memory and the
// field.
Result<void> check(const PmemConfig& config);

}  // namespace mote::virtio
