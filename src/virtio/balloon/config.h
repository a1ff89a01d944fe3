// What a user says of the balloon.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

#include "base/json_rules.h"
#include "base/result.h"

namespace mote::virtio {

struct BalloonConfig {
  std::uint32_t amount_mib = 0;  // what the guest is to give up, at most its RAM
  bool deflate_on_oom = false;   // the guest may take pages back rather than kill processes
  std::uint16_t stats_polling_interval_s = 0;  // seconds; 0: no statistics
  bool free_page_hinting = false;
  bool free_page_reporting = false;
};
BOOST_DESCRIBE_STRUCT(BalloonConfig, (),
                      (amount_mib, deflate_on_oom, stats_polling_interval_s, free_page_hinting,
                       free_page_reporting))
constexpr auto json_rules(const BalloonConfig*) {
  return std::array{json::defaulted("stats_polling_interval_s"),
                    json::defaulted("free_page_hinting"), json::defaulted("free_page_reporting")};
}

// Whether the values make sense, whatever the size of the machine.
Result<void> check(const BalloonConfig& config);

}  // namespace mote::virtio
