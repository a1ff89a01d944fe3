#include "machine/claims.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/json.h"
#include "base/unique_fd.h"
#include "virtio/block/open_disk.h"

namespace mote::machine {
namespace {

Result<void> try_boot_file(std::string_view field, const std::string& path) {
  auto opened = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!opened) return std::unexpected(std::move(opened.error()).within(std::string(field)));
  return {};
}

// A connection would be the one that a backend serves, and its end might be the backend's.
Result<void> try_socket(const virtio::BlockConfig& config) {
  struct stat found{};
  if (::stat(config.socket->c_str(), &found) != 0) {
    return fail_errno(errno, "drive '{}': socket {}", config.drive_id, json::quote(*config.socket));
  }
  if (S_ISSOCK(found.st_mode)) return {};
  return fail(ErrorKind::kInvalid, "drive '{}': socket {} is no socket", config.drive_id,
              json::quote(*config.socket));
}

}  // namespace

Result<void> try_out(const BootSource& config) {
  MOTE_CHECK(try_boot_file("kernel_image_path", config.kernel_image_path));
  if (config.initrd_path) MOTE_CHECK(try_boot_file("initrd_path", *config.initrd_path));
  return {};
}

Result<void> try_out(const virtio::BlockConfig& config, EventLoop& loop) {
  if (config.socket) return try_socket(config);
  virtio::BlockConfig tried = config;
  // A ring would be made for nothing; and who opens an image to write it marks it as in use.
  tried.io_engine = virtio::IoEngine::Sync;
  if (tried.format != virtio::DiskFormat::Raw) tried.is_read_only = true;
  MOTE_CHECK(virtio::open_disk(tried, loop));
  return {};
}

Result<void> try_out(const virtio::VsockConfig& config) {
  struct stat found{};
  if (::lstat(config.uds_path.c_str(), &found) == 0) {
    return fail(ErrorKind::kInvalid, "uds_path {} is there already; name a socket to make",
                json::quote(config.uds_path));
  }
  if (errno != ENOENT) return fail_errno(errno, "uds_path {}", json::quote(config.uds_path));
  const auto slash = config.uds_path.rfind('/');
  const std::string directory =
      slash == std::string::npos ? "." : config.uds_path.substr(0, slash + 1);
  if (::access(directory.c_str(), W_OK | X_OK) == 0) return {};
  return fail_errno(errno, "uds_path {}: no socket can be made in {}", json::quote(config.uds_path),
                    json::quote(directory));
}

Result<std::optional<std::string>> Claims::take(const virtio::NetConfig& config) {
  if (!config.host_dev_name) {
    // Descriptors that are open already; what they are, the machine will see.
    taps_.erase(config.iface_id);
    return std::nullopt;
  }
  const auto known = taps_.find(config.iface_id);
  if (known != taps_.end() && known->second.name == *config.host_dev_name &&
      known->second.tap->lanes() == config.num_queues) {
    return known->second.tap->interface_name();
  }
  auto tap = network::Tap::open(*config.host_dev_name, config.num_queues);
  if (!tap) {
    return std::unexpected(
        std::move(tap.error())
            .within(fmt::format("network-interfaces: interface '{}'", config.iface_id)));
  }
  std::string name = (*tap)->interface_name();
  taps_.insert_or_assign(config.iface_id, Claim{.name = name, .tap = std::move(*tap)});
  return name;
}

VmConfig Claims::resolve(VmConfig config) const {
  for (virtio::NetConfig& interface : config.network_interfaces) {
    const auto claim = taps_.find(interface.iface_id);
    if (claim == taps_.end()) continue;
    interface.tap_fds = claim->second.tap->descriptors();
    interface.host_dev_name.reset();
  }
  return config;
}

}  // namespace mote::machine
