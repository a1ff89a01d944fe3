#include "virtio/vsock/config.h"

#include <sys/un.h>

#include "base/json.h"

namespace mote::virtio {

static_assert(kMaxUdsPath == sizeof(sockaddr_un::sun_path) - 1);

Result<void> check(const VsockConfig& config) {
  const std::string& path = config.uds_path;
  if (path.empty()) {
    return fail(ErrorKind::kInvalid, "uds_path is empty; it must be the path of a socket to make");
  }
  if (path.find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "uds_path is {}; it must be without NUL characters",
                json::quote(path));
  }
  if (path.size() > kMaxUdsPath) {
    return fail(ErrorKind::kInvalid,
                "uds_path has {} bytes; the address of a Unix socket holds at most {}", path.size(),
                kMaxUdsPath);
  }
  return {};
}

}  // namespace mote::virtio
