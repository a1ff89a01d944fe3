#include "base/file.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <array>

#include "base/unique_fd.h"

namespace mote {
namespace {

bool look(int directory, const char* path, int flags, struct stat& into) {
  struct statx found{};
  if (::statx(directory, path, flags, STATX_BASIC_STATS, &found) < 0) return false;
  into = {};
  into.st_mode = found.stx_mode;
  into.st_dev = ::makedev(found.stx_dev_major, found.stx_dev_minor);
  into.st_rdev = ::makedev(found.stx_rdev_major, found.stx_rdev_minor);
  into.st_ino = found.stx_ino;
  into.st_nlink = found.stx_nlink;
  into.st_size = static_cast<off_t>(found.stx_size);
  into.st_mtim = {.tv_sec = found.stx_mtime.tv_sec, .tv_nsec = found.stx_mtime.tv_nsec};
  into.st_blksize = static_cast<blksize_t>(found.stx_blksize);
  return true;
}

}  // namespace

bool look_at(int fd, struct stat& into) { return look(fd, "", AT_EMPTY_PATH, into); }

bool look_at(const std::string& path, struct stat& into, int flags) {
  return look(AT_FDCWD, path.c_str(), flags, into);
}

bool lock_file(int fd, FileLock lock) {
  struct flock whole{};
  whole.l_type = lock == FileLock::kAlone ? F_WRLCK : F_RDLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd, F_OFD_SETLK, &whole) == 0) return true;
  if (errno == EACCES) errno = EAGAIN;
  return false;
}

Result<void> extend_file(int fd, std::uint64_t size) {
  const std::uint64_t last = size - 1;
  if (::fallocate(fd, 0, static_cast<off_t>(last), 1) == 0) return {};
  if (errno != EOPNOTSUPP) return fail_errno(errno, "make a file {} bytes long", size);
  return write_at(fd, std::array<std::byte, 1>{}, last);
}

}  // namespace mote
