// The log as Firecracker's `logger` section, its PUT /logger and mote-vmm's flags describe it.
#pragma once

#include <boost/describe/class.hpp>
#include <optional>
#include <string>

#include "base/result.h"

namespace mote::api::firecracker {

// What is absent stays as it is.
struct LoggerConfig {
  std::optional<std::string> log_path = {};  // a file that is appended to, or a FIFO
  std::optional<std::string> level = {};     // Off, Error, Warning, Info, Debug, Trace; in any case
  std::optional<bool> show_level = {};
  std::optional<bool> show_log_origin = {};
  // Only lines of modules whose names begin so (base/log_module.h); empty: all.
  std::optional<std::string> module = {};
};
BOOST_DESCRIBE_STRUCT(LoggerConfig, (), (log_path, level, show_level, show_log_origin, module))

// Whether the values make sense, without opening anything.
Result<void> check(const LoggerConfig& config);

// Changes the log as `config` says, and opens its file, anew where it is the same one. Nothing has
// changed after an error. From any thread, while others log.
Result<void> apply(const LoggerConfig& config);

}  // namespace mote::api::firecracker
