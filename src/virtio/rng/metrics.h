// What the entropy device counts. Names that Firecracker has mean what they mean there.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

struct RngMetrics {
  std::uint64_t entropy_event_count = 0;             // kicks
  std::uint64_t entropy_event_fails = 0;             // requests without room for a byte
  std::uint64_t entropy_bytes = 0;                   // that the guest was given
  std::uint64_t host_rng_fails = 0;                  // requests that the host had no entropy for
  std::uint64_t entropy_rate_limiter_throttled = 0;  // requests that had to wait
  std::uint64_t rate_limiter_event_count = 0;        // times that waiting had an end
};
BOOST_DESCRIBE_STRUCT(RngMetrics, (),
                      (entropy_event_count, entropy_event_fails, entropy_bytes, host_rng_fails,
                       entropy_rate_limiter_throttled, rate_limiter_event_count))

}  // namespace mote::virtio
