// How a device's traffic is to be limited: two token buckets, described as configuration.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>

namespace mote::virtio {

// A bucket of `size` tokens that refills in `refill_time` milliseconds, with a burst that is there
// once.
struct TokenBucketConfig {
  std::uint64_t size = 0;
  std::optional<std::uint64_t> one_time_burst{};
  std::uint64_t refill_time = 0;
};
BOOST_DESCRIBE_STRUCT(TokenBucketConfig, (), (size, one_time_burst, refill_time))

// Limits on bytes (bandwidth) and on requests (ops).
struct RateLimiterConfig {
  std::optional<TokenBucketConfig> bandwidth{};
  std::optional<TokenBucketConfig> ops{};
};
BOOST_DESCRIBE_STRUCT(RateLimiterConfig, (), (bandwidth, ops))

}  // namespace mote::virtio
