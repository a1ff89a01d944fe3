#include "base/standard_streams.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.h"

namespace mote {

Result<void> hold_standard_streams() {
  // One call, as each start makes it.
  std::array<pollfd, STDERR_FILENO + 1> streams{};
  for (int i = 0; i <= STDERR_FILENO; ++i) streams[static_cast<std::size_t>(i)].fd = i;
  if (::poll(streams.data(), streams.size(), 0) <= 0) return {};
  for (const pollfd& stream : streams) {
    if ((stream.revents & POLLNVAL) == 0) continue;
    // It becomes the first that is free, which is this.
    MOTE_TRY(UniqueFd null, open_file("/dev/null", O_RDWR));
    ::fcntl(null.release(), F_SETFD, 0);
  }
  return {};
}

}  // namespace mote
