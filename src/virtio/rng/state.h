// What of the entropy device is saved beside its queue: what its limits have left.
#pragma once

#include <boost/describe/class.hpp>
#include <optional>

#include "virtio/rate_limiter.h"

namespace mote::virtio {

struct RngState {
  std::optional<RateLimiterState> rate_limiter{};  // absent: as configured
};
BOOST_DESCRIBE_STRUCT(RngState, (), (rate_limiter))

}  // namespace mote::virtio
