#include "virtio/block/config.h"

namespace mote::virtio {

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
  if (config.io_engine == IoEngine::Async) {
    return fail(ErrorKind::kUnsupported,
                "drive '{}': io_engine Async is not supported: io_uring is not built yet; use Sync",
                id);
  }
  return {};
}

}  // namespace mote::virtio
