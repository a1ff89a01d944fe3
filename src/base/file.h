// What the monitor does with files besides reading and writing them, by as few different system
// calls as can be: each that is not made is one less in its filters.
#pragma once

#include <sys/stat.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace mote {

// What the kernel says of a file (statx(2)): its type and rights, device, inode, links, size, time
// of the last change, block size, and which device a special file is; nothing else of `into` is
// set. False, with errno: it cannot be had. `flags` may be AT_SYMLINK_NOFOLLOW.
bool look_at(int fd, struct stat& into);
bool look_at(const std::string& path, struct stat& into, int flags = 0);

// Locks the whole of an open file (F_OFD_SETLK), which must be open for reading, or, to be the only
// one that has it, for writing; or makes the lock that it has another. False, with errno, EAGAIN
// where somebody else has it. The lock goes with the open file.
enum class FileLock : std::uint8_t { kShared, kAlone };
bool lock_file(int fd, FileLock lock);

// Makes a file that is shorter `size` bytes long; what it gains reads as zeros, and its last byte
// has its place on the disk. Errors: no space, a file that cannot be as long.
Result<void> extend_file(int fd, std::uint64_t size);

// Of what has no places, as a pipe or a tap.
inline constexpr off_t kNoOffset = -1;
// preadv2(2) and pwritev2(2), which serve those and files alike.
// `flags`: as RWF_NOWAIT.
inline ssize_t read_buffers(int fd, std::span<const iovec> buffers, off_t offset, int flags = 0) {
  return ::preadv2(fd, buffers.data(), static_cast<int>(buffers.size()), offset, flags);
}
inline ssize_t write_buffers(int fd, std::span<const iovec> buffers, off_t offset, int flags = 0) {
  return ::pwritev2(fd, buffers.data(), static_cast<int>(buffers.size()), offset, flags);
}

// One read of what comes next.
inline ssize_t read_next(int fd, std::span<std::byte> into) {
  const iovec all{into.data(), into.size()};
  return read_buffers(fd, std::span(&all, 1), kNoOffset);
}

}  // namespace mote
