// Counters of one vhost-user device, under Firecracker's names.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

#include "base/counters.h"

namespace mote::virtio {

struct VhostUserMetrics {
  std::uint64_t activate_fails = 0;  // starts that the backend did not take part in
  std::uint64_t cfg_fails = 0;       // configuration spaces that it did not tell
  Gauge init_time_us;                // the first connection
  Gauge activate_time_us;            // the last start
  Gauge config_change_time_us;       // the last refresh()
  // Mote's own.
  std::uint64_t disconnects = 0;
  std::uint64_t reconnects = 0;
};
BOOST_DESCRIBE_STRUCT(VhostUserMetrics, (),
                      (activate_fails, cfg_fails, init_time_us, activate_time_us,
                       config_change_time_us, disconnects, reconnects))

}  // namespace mote::virtio
