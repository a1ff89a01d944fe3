#include "virtio/block/config.h"

#include <algorithm>

namespace mote::virtio {
namespace {

Result<void> check_serial(const BlockConfig& config) {
  if (!config.serial) return {};
  const std::string& serial = *config.serial;
  if (serial.empty() || serial.size() > kMaxSerial) {
    return fail(ErrorKind::kInvalid, "drive '{}': serial has {} bytes, and must have from 1 to {}",
                config.drive_id, serial.size(), kMaxSerial);
  }
  // It becomes a line in the guest's /sys and the name of a link in its /dev.
  const auto printable = [](char c) { return c > ' ' && c <= '~'; };
  if (!std::ranges::all_of(serial, printable)) {
    return fail(ErrorKind::kInvalid,
                "drive '{}': serial has a character that is not printable ASCII, or a space",
                config.drive_id);
  }
  return {};
}

}  // namespace

Result<void> check(const BlockConfig& config) {
  if (config.drive_id.empty()) {
    return fail(ErrorKind::kInvalid, "a drive has an empty drive_id; give it a name");
  }
  const std::string& id = config.drive_id;
  if (config.socket) {
    return fail(ErrorKind::kUnsupported,
                "drive '{}': socket is not supported: vhost-user backends are not built yet; give "
                "path_on_host",
                id);
  }
  if (!config.path_on_host || config.path_on_host->empty()) {
    return fail(ErrorKind::kInvalid,
                "drive '{}': path_on_host is missing; name an image or a block device", id);
  }
  if (config.path_on_host->find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "drive '{}': path_on_host has a NUL character in it", id);
  }
  if (config.num_queues == 0 || config.num_queues > kMaxBlockQueues) {
    return fail(ErrorKind::kInvalid, "drive '{}': num_queues is {}, and must be from 1 to {}", id,
                config.num_queues, kMaxBlockQueues);
  }
  return check_serial(config);
}

}  // namespace mote::virtio
