#include "storage/file_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "storage/sync_engine.h"

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

Result<std::uint64_t> size_of(const std::string& path, int fd) {
  struct stat status{};
  if (::fstat(fd, &status) < 0) return fail_errno(errno, "look at '{}'", path);
  if (!S_ISBLK(status.st_mode)) return static_cast<std::uint64_t>(status.st_size);
  std::uint64_t bytes = 0;
  if (::ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
    return fail_errno(errno, "ask for the size of block device '{}'", path);
  }
  return bytes;
}

}  // namespace

Result<std::unique_ptr<FileDisk>> FileDisk::open(const std::string& path, Access access) {
  // Looked at before it is opened, as opening a pipe or a device can act on it; and again
  // afterwards, as it may be another by then.
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) MOTE_CHECK(check_type(path, status.st_mode));
  const int flags = (access == Access::kReadOnly ? O_RDONLY : O_RDWR) | O_NONBLOCK;
  MOTE_TRY(UniqueFd fd, open_file(path, flags));
  if (::fstat(fd.get(), &status) < 0) return fail_errno(errno, "look at '{}'", path);
  MOTE_CHECK(check_type(path, status.st_mode));
  std::unique_ptr<FileDisk> disk(
      new FileDisk(path, std::move(fd), access,
                   fmt::format("{}{}{}", status.st_dev, status.st_rdev, status.st_ino)));
  MOTE_CHECK(disk->refresh());
  return disk;
}

Result<void> FileDisk::refresh() {
  MOTE_TRY(const std::uint64_t bytes, size_of(path_, fd_.get()));
  const std::uint64_t rest = bytes % kSectorSize;
  if (rest != 0) {
    log::warning("disk '{}' has {} bytes, not a multiple of {}: the last {} are out of reach",
                 path_, bytes, kSectorSize, rest);
  }
  size_ = bytes - rest;
  return {};
}

void FileDisk::start(DiskRequest request, std::uint64_t length, Done done) {
  Result<void> result;
  switch (request.op) {
    case Op::kRead:
      result = read_vector(fd_.get(), request.buffers, request.offset);
      break;
    case Op::kWrite:
      result = write_vector(fd_.get(), request.buffers, request.offset);
      break;
    case Op::kFlush:
      result = sync_data(fd_.get());
      break;
    case Op::kDiscard:
      result = discard(fd_.get(), request.offset, length);
      break;
    case Op::kWriteZeroes:
      result = write_zeroes(fd_.get(), request.offset, length, request.may_unmap);
      break;
  }
  done(std::move(request), std::move(result));
}

}  // namespace mote::storage
