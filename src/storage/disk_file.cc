#include "storage/disk_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/file.h"

namespace mote::storage {
namespace {

const char* file_type(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return "a directory";
    case S_IFCHR:
      return "a character device";
    case S_IFIFO:
      return "a pipe";
    case S_IFSOCK:
      return "a socket";
    default:
      return "no file";
  }
}

Result<void> check_type(const std::string& path, mode_t mode) {
  if (S_ISREG(mode) || S_ISBLK(mode)) return {};
  return fail(ErrorKind::kInvalid, "'{}' is {}; a disk is a regular file or a block device", path,
              file_type(mode));
}

std::string identity_of(const struct stat& status) {
  return fmt::format("{}{}{}", status.st_dev, status.st_rdev, status.st_ino);
}

}  // namespace

Result<std::string> disk_file_identity(const std::string& path, int fd) {
  struct stat status{};
  if (!look_at(fd, status)) return fail_errno(errno, "look at '{}'", path);
  return identity_of(status);
}

// No others than files of tmpfs, of memfd and of hugetlbfs have seals, even if none can be set.
bool is_in_memory(int fd) { return ::fcntl(fd, F_GET_SEALS) >= 0; }

Result<DiskFile> open_disk_file(const std::string& path, Access access, int flags) {
  // Looked at before it is opened, as opening a pipe or a device can act on it; and again
  // afterwards, as it may be another by then.
  struct stat status{};
  if (look_at(path, status)) MOTE_CHECK(check_type(path, status.st_mode));
  const int mode = access == Access::kReadOnly ? O_RDONLY : O_RDWR;
  MOTE_TRY(UniqueFd fd, open_file(path, mode | O_NONBLOCK | flags));
  if (!look_at(fd.get(), status)) return fail_errno(errno, "look at '{}'", path);
  MOTE_CHECK(check_type(path, status.st_mode));
  // It is not opened like a pipe any more: a ring fails each request to a device that cannot do
  // without waiting (device mapper's, before Linux 6.2) where its file is one that does not wait.
  if (::fcntl(fd.get(), F_SETFL, flags & O_DIRECT) < 0) return fail_errno(errno, "open '{}'", path);
  return DiskFile{.fd = std::move(fd),
                  .block_device = S_ISBLK(status.st_mode),
                  .identity = identity_of(status)};
}

Result<std::uint64_t> disk_file_size(const std::string& path, int fd) {
  struct stat status{};
  if (!look_at(fd, status)) return fail_errno(errno, "look at '{}'", path);
  if (!S_ISBLK(status.st_mode)) return static_cast<std::uint64_t>(status.st_size);
  std::uint64_t bytes = 0;
  if (::ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
    return fail_errno(errno, "ask for the size of block device '{}'", path);
  }
  return bytes;
}

}  // namespace mote::storage
