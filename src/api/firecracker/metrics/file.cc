#include "api/firecracker/metrics/file.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/file.h"

namespace mote::api::firecracker {

Result<MetricsFile> MetricsFile::open(const std::string& path) {
  // As the log's: read-write, so that a FIFO opens before somebody reads it.
  MOTE_TRY(UniqueFd fd, open_file(path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK, 0644));
  struct stat about{};
  if (::fstat(fd.get(), &about) != 0) return fail_errno(errno, "open '{}'", path);
  // For some more lines than the 64 KiB of others; where it cannot be had, for fewer.
  if (S_ISFIFO(about.st_mode)) ::fcntl(fd.get(), F_SETPIPE_SZ, 256 << 10);
  return MetricsFile(std::move(fd), S_ISFIFO(about.st_mode));
}

// A pipe has its room in pages. A line, which is longer than one, begins in a page of its own where
// its odd part does not fit behind the line before: so what waits may take twice the pages that its
// bytes make, and one more at each end.
bool MetricsFile::has_room(std::size_t size) const {
  const auto page = static_cast<std::size_t>(::getpagesize());
  const int capacity = ::fcntl(fd_.get(), F_GETPIPE_SZ);
  int waiting = 0;
  if (capacity < 0 || ::ioctl(fd_.get(), FIONREAD, &waiting) != 0) return false;
  const std::size_t pages = static_cast<std::size_t>(capacity) / page;
  const std::size_t taken = waiting == 0 ? 0 : 2 * (static_cast<std::size_t>(waiting) / page) + 2;
  return taken < pages && size <= (pages - taken) * page;
}

bool MetricsFile::write(std::string_view line) {
  if (fifo_ && !has_room(line.size())) return false;
  static char line_feed = '\n';
  // What was torn off, by a full disk, ends here, so that one line is lost and not two.
  std::array<iovec, 2> parts{
      {{.iov_base = &line_feed, .iov_len = torn_ ? 1U : 0U},
       {.iov_base = const_cast<char*>(line.data()), .iov_len = line.size()}}};
  ssize_t written = 0;
  do {
    written = write_buffers(fd_.get(), parts, kNoOffset);
  } while (written < 0 && errno == EINTR);
  if (written <= 0) return false;
  torn_ = static_cast<std::size_t>(written) < parts[0].iov_len + line.size();
  return !torn_;
}

}  // namespace mote::api::firecracker
