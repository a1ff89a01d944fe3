// What a user says of the entropy device.
#pragma once

#include <boost/describe/class.hpp>
#include <optional>

#include "base/result.h"
#include "virtio/rate_limiter.h"

namespace mote::virtio {

struct RngConfig {
  std::optional<RateLimiterConfig> rate_limiter{};
};
BOOST_DESCRIBE_STRUCT(RngConfig, (), (rate_limiter))

// Whether the values make sense: every rate limit does.
inline Result<void> check(const RngConfig& /*config*/) { return {}; }

}  // namespace mote::virtio
