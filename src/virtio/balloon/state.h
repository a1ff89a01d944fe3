// What of a balloon is saved beside its queues.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>

#include "virtio/balloon/statistics.h"

namespace mote::virtio {

struct BalloonState {
  std::uint32_t amount_mib = 0;
  std::uint32_t actual_pages = 0;
  std::uint16_t stats_polling_interval_s = 0;
  GuestMemoryStatistics statistics;
  bool active = false;  // a driver has it
  // Hinting: the command in configuration space, the last one that told the guest to begin, the
  // last one that the guest has told, and what comes after its end.
  std::uint32_t host_cmd = 0;
  std::uint32_t last_run = 1;
  std::optional<std::uint32_t> guest_cmd;
  bool acknowledge_on_stop = true;
};
BOOST_DESCRIBE_STRUCT(BalloonState, (),
                      (amount_mib, actual_pages, stats_polling_interval_s, statistics, active,
                       host_cmd, last_run, guest_cmd, acknowledge_on_stop))

}  // namespace mote::virtio
