// Where the output of the first serial port goes, as PUT /serial says.
#pragma once

#include <boost/describe/class.hpp>
#include <optional>
#include <string>

#include "virtio/rate_limiter.h"

namespace mote::api::firecracker {

struct SerialConfig {
  // A file that is written from its start, or a FIFO; opened when the machine starts. Absent:
  // standard output.
  std::optional<std::string> serial_out_path = {};
  std::optional<virtio::TokenBucketConfig> rate_limiter = {};  // of bytes; what is beyond is lost
};
BOOST_DESCRIBE_STRUCT(SerialConfig, (), (serial_out_path, rate_limiter))

}  // namespace mote::api::firecracker
