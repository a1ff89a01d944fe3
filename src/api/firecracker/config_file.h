// Firecracker's configuration file: one JSON object with a section a part of the machine.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "api/firecracker/logger.h"
#include "api/firecracker/metrics/config.h"
#include "base/result.h"
#include "machine/config.h"

namespace mote::api::firecracker {

// The most bytes a file may have. Every drive that fits on the bus with paths of 4096 bytes, all of
// them escaped, take less than half of it.
inline constexpr std::size_t kMaxConfigFile = std::size_t{1} << 20;

struct ConfigFile {
  machine::VmConfig vm;                  // checked
  std::optional<LoggerConfig> logger;    // checked; for apply()
  std::optional<MetricsConfig> metrics;  // checked; for Metrics::open()
};

// Reads the text of a configuration file: `boot-source` and `drives` are required, `machine-config`
// and `logger` are not. Errors name the place: what is no JSON, unknown (also at the top level),
// missing, mistyped, given twice, out of range, or a section that is not built.
Result<ConfigFile> parse_config(std::string_view text);

// What a file of at most kMaxConfigFile bytes holds.
Result<std::string> read_config_text(const std::string& path);

// parse_config() of a file of at most kMaxConfigFile bytes. Errors begin with its path.
Result<ConfigFile> read_config_file(const std::string& path);

}  // namespace mote::api::firecracker
