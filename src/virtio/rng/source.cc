#include "virtio/rng/source.h"

#include <sys/random.h>

#include <cerrno>

namespace mote::virtio {

Result<void> HostEntropy::fill(std::span<std::byte> into) {
  while (!into.empty()) {
    // Only a host that has just been started has none yet: then it says so, and does not wait.
    const ssize_t count = ::getrandom(into.data(), into.size(), GRND_NONBLOCK);
    if (count < 0) {
      if (errno == EINTR) continue;
      return fail_errno(errno, "get random bytes of the host");
    }
    into = into.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace mote::virtio
