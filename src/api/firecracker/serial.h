// Where the output of the first serial port goes, as PUT /serial says.
#pragma once

#include <boost/describe/class.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "virtio/rate_limiter.h"

namespace mote::api::firecracker {

struct SerialConfig {
  // A file that is written from its start, or a FIFO; opened when the machine starts. Absent:
  // standard output.
  std::optional<std::string> serial_out_path = {};
  std::optional<virtio::TokenBucketConfig> rate_limiter = {};  // of bytes; what is beyond is lost
};
BOOST_DESCRIBE_STRUCT(SerialConfig, (), (serial_out_path, rate_limiter))

// Whether the values make sense, without opening anything.
inline Result<void> check(const SerialConfig& config) {
  if (!config.serial_out_path || config.serial_out_path->find('\0') == std::string::npos) return {};
  return fail(ErrorKind::kInvalid, "serial_out_path must be without NUL characters");
}

}  // namespace mote::api::firecracker
