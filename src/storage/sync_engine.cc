#include "storage/sync_engine.h"

#include <unistd.h>

#include <algorithm>
#include <climits>

namespace mote::storage {
namespace {

// Takes `count` bytes off the front.
void take_off(std::span<iovec>& buffers, std::size_t count) {
  while (!buffers.empty() && count >= buffers.front().iov_len) {
    count -= buffers.front().iov_len;
    buffers = buffers.subspan(1);
  }
  if (count > 0) {
    buffers.front().iov_base = static_cast<std::byte*>(buffers.front().iov_base) + count;
    buffers.front().iov_len -= count;
  }
}

template <typename Call>
Result<void> transfer(const char* what, int fd, std::span<iovec> buffers, std::uint64_t offset,
                      Call call) {
  take_off(buffers, 0);
  while (!buffers.empty()) {
    const int count = static_cast<int>(std::min<std::size_t>(buffers.size(), IOV_MAX));
    const ssize_t moved = call(fd, buffers.data(), count, static_cast<off_t>(offset));
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return fail_errno(errno, "{} a disk at offset {}", what, offset);
    if (moved == 0) {
      return fail(ErrorKind::kIo, "{} a disk at offset {}: its file ends there by now", what,
                  offset);
    }
    offset += static_cast<std::uint64_t>(moved);
    take_off(buffers, static_cast<std::size_t>(moved));
  }
  return {};
}

}  // namespace

Result<void> read_vector(int fd, std::span<iovec> buffers, std::uint64_t offset) {
  return transfer("read", fd, buffers, offset, ::preadv);
}

Result<void> write_vector(int fd, std::span<iovec> buffers, std::uint64_t offset) {
  return transfer("write", fd, buffers, offset, ::pwritev);
}

Result<void> sync_data(int fd) {
  if (::fdatasync(fd) < 0) return fail_errno(errno, "flush a disk");
  return {};
}

}  // namespace mote::storage
