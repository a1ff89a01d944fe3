// A monitor's counters as text that Prometheus reads, for `mote metrics`.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace mote::engine {

// `report` is what GET /vm/metrics answers. A number `read_bytes` of the drive `d` in the microVM
// `x` becomes mote_block_read_bytes{vm="x",device="d"}; sums over devices are left out, as whoever
// reads this adds up by itself. Errors: `report` is no such answer.
Result<std::string> to_prometheus(std::string_view report);

}  // namespace mote::engine
