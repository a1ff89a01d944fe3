#include "storage/sync_engine.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <vector>

#include "base/file.h"
#include "storage/disk.h"

namespace mote::storage {
namespace {

template <typename Call>
Result<void> transfer(const char* what, int fd, std::span<iovec> buffers, std::uint64_t offset,
                      Call call) {
  take_off(buffers, 0);
  while (!buffers.empty()) {
    const auto some = buffers.first(std::min<std::size_t>(buffers.size(), IOV_MAX));
    const ssize_t moved = call(fd, some, static_cast<off_t>(offset));
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

// fallocate(2), which serves block devices as well as files. 0, or errno.
int allocate(int fd, int mode, std::uint64_t offset, std::uint64_t length) {
  int status = 0;
  do {
    status = ::fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (status < 0 && errno == EINTR);
  return status < 0 ? errno : 0;
}

constexpr int kPunchHole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
constexpr int kZeroRange = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

}  // namespace

Result<void> read_vector(int fd, std::span<iovec> buffers, std::uint64_t offset) {
  return transfer("read", fd, buffers, offset, [](int from, std::span<const iovec> some, off_t at) {
    return read_buffers(from, some, at);
  });
}

bool read_at_hand(int fd, bool in_memory, std::span<const iovec> buffers, std::uint64_t offset,
                  std::uint64_t length) {
  if (buffers.size() > IOV_MAX) return false;
  // Filesystems in memory do not know RWF_NOWAIT.
  const ssize_t moved =
      read_buffers(fd, buffers, static_cast<off_t>(offset), in_memory ? 0 : RWF_NOWAIT);
  return moved >= 0 && static_cast<std::uint64_t>(moved) == length;
}

Result<void> write_vector(int fd, std::span<iovec> buffers, std::uint64_t offset) {
  return transfer("write", fd, buffers, offset, [](int to, std::span<const iovec> some, off_t at) {
    return write_buffers(to, some, at);
  });
}

Result<void> write_zeroes(int fd, std::uint64_t offset, std::uint64_t length, bool may_unmap) {
  if (length == 0) return {};
  const int error = allocate(fd, may_unmap ? kPunchHole : kZeroRange, offset, length);
  if (error == 0) return {};
  if (!cannot_allocate(error))
    return fail_errno(error, "write zeroes to a disk at offset {}", offset);
  std::vector<iovec> buffers;
  append_zeroes(length, buffers);
  return write_vector(fd, buffers, offset);
}

Result<void> discard(int fd, std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return {};
  const int error = allocate(fd, kPunchHole, offset, length);
  if (error == 0 || cannot_allocate(error)) return {};
  return fail_errno(error, "discard of a disk at offset {}", offset);
}

Result<void> sync_data(int fd) {
  if (::fdatasync(fd) < 0) return fail_errno(errno, "flush a disk");
  return {};
}

bool cannot_allocate(int error) { return error == EOPNOTSUPP || error == EINVAL; }

int allocation_mode(const DiskRequest& request) {
  return request.op == Op::kDiscard || request.may_unmap ? kPunchHole : kZeroRange;
}

Result<void> serve_now(int fd, std::uint64_t place, DiskRequest& request, std::uint64_t length) {
  switch (request.op) {
    case Op::kRead:
      return read_vector(fd, request.buffers, place);
    case Op::kWrite:
      return write_vector(fd, request.buffers, place);
    case Op::kFlush:
      return sync_data(fd);
    case Op::kDiscard:
      return discard(fd, place, length);
    case Op::kWriteZeroes:
      return write_zeroes(fd, place, length, request.may_unmap);
  }
  return fail(ErrorKind::kInternal, "a disk request of no kind");
}

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

}  // namespace mote::storage
