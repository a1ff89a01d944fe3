#include "virtio/pmem/config.h"

#include "base/json.h"

namespace mote::virtio {

Result<void> check(const PmemConfig& config) {
  if (config.id.empty() || config.id.find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "a pmem has the id {}; give it a name without NUL characters",
                json::quote(config.id));
  }
  if (config.path_on_host.empty() || config.path_on_host.find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid,
                "pmem '{}': path_on_host is {}; name a file or a block device without NUL "
                "characters",
                config.id, json::quote(config.path_on_host));
  }
  return {};
}

}  // namespace mote::virtio
