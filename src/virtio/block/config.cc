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

Result<void> check_format(const BlockConfig& config) {
  if (config.format != DiskFormat::Qcow2 && config.backing_files) {
    return fail(ErrorKind::kInvalid, "drive '{}': backing_files is for a drive of format qcow2",
                config.drive_id);
  }
  if (config.format != DiskFormat::Raw && config.direct) {
    return fail(ErrorKind::kUnsupported,
                "drive '{}': direct is for a drive of format raw: the tables of the others are in "
                "the host's page cache",
                config.drive_id);
  }
  if (config.format != DiskFormat::Overlay && !config.layers.empty()) {
    return fail(ErrorKind::kInvalid, "drive '{}': layers is for a drive of format overlay",
                config.drive_id);
  }
  for (const std::string& layer : config.layers) {
    if (!layer.empty() && layer.find('\0') == std::string::npos) continue;
    return fail(ErrorKind::kInvalid, "drive '{}': layers has a text that is no path",
                config.drive_id);
  }
  return {};
}

// The disk of a vhost-user backend: what it is, and how it is reached, is the backend's to say.
Result<void> check_socket(const BlockConfig& config) {
  struct Field {
    bool given;
    const char* name;
  };
  for (const Field& field :
       {Field{config.path_on_host.has_value(), "path_on_host"},
        Field{config.is_read_only.has_value(), "is_read_only"},
        Field{config.rate_limiter.has_value(), "rate_limiter"},
        Field{config.io_engine.has_value(), "io_engine"}, Field{config.direct, "direct"},
        Field{config.serial.has_value(), "serial"}, Field{config.num_queues != 1, "num_queues"},
        Field{config.format != DiskFormat::Raw, "format"},
        Field{config.backing_files, "backing_files"}, Field{!config.layers.empty(), "layers"}}) {
    if (!field.given) continue;
    return fail(ErrorKind::kInvalid,
                "drive '{}': {} does not go with socket: that is up to the vhost-user backend",
                config.drive_id, field.name);
  }
  if (config.socket->empty() || config.socket->find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "drive '{}': socket must be the path of a Unix socket",
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
  if (config.socket) return check_socket(config);
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
  MOTE_CHECK(check_format(config));
  return check_serial(config);
}

}  // namespace mote::virtio
