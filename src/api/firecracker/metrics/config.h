// Where metrics go, as Firecracker's `metrics` section, its PUT /metrics and mote-vmm's
// --metrics-path say it.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/json_rules.h"
#include "base/result.h"

namespace mote::api::firecracker {

struct MetricsConfig {
  std::string metrics_path;  // a file that is appended to, or a FIFO
  bool emit_id = false;      // the microVM's id in each line
  // Names and texts, in each line.
  std::optional<json::Value> properties = {};
};
BOOST_DESCRIBE_STRUCT(MetricsConfig, (), (metrics_path, emit_id, properties))
constexpr auto json_rules(const MetricsConfig*) { return std::array{json::defaulted("emit_id")}; }

// Whether the values make sense, without opening anything.
Result<void> check(const MetricsConfig& config);

}  // namespace mote::api::firecracker
