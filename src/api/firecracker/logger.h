// The log as Firecracker's `logger` section, its PUT /logger and mote-vmm's flags describe it.
#pragma once

#include <boost/describe/class.hpp>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/result.h"

namespace mote::api::firecracker {

// What is absent stays as it is.
struct LoggerConfig {
  std::optional<std::string> log_path = {};  // a file that is appended to, or a FIFO
  std::optional<std::string> level = {};     // Off, Error, Warning, Info, Debug, Trace; in any case
  std::optional<bool> show_level = {};
  std::optional<bool> show_log_origin = {};
  std::optional<std::string> module = {};  // not built
};
BOOST_DESCRIBE_STRUCT(LoggerConfig, (), (log_path, level, show_level, show_log_origin, module))

// Whether the values make sense and are built, without opening anything.
Result<void> check(const LoggerConfig& config);

// Changes `settings` as the config says, opens its file, and makes both the log's. Nothing has
// changed after an error. To be called before other threads start.
Result<void> apply(const LoggerConfig& config, log::Settings& settings);

}  // namespace mote::api::firecracker
