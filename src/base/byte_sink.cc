#include "base/byte_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"

namespace mote {
namespace {

bool is_null_device(const struct stat& about) {
  return S_ISCHR(about.st_mode) && about.st_rdev == ::makedev(1, 3);
}

// Whether one write to a pipe can be told not to wait, as from Linux 6.4 on. The kernel says so
// before it finds that it cannot have what it is to write.
bool takes_nowait(int fd) {
  const iovec nowhere{reinterpret_cast<void*>(sizeof(long)), 1};
  return write_buffers(fd, std::span(&nowhere, 1), kNoOffset, RWF_NOWAIT) < 0 && errno == EFAULT;
}

}  // namespace

Result<FdSink> FdSink::create(int fd) {
  struct stat about{};
  if (!look_at(fd, about)) return fail_errno(errno, "output to descriptor {}", fd);
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return fail_errno(errno, "output to descriptor {}", fd);
  if ((flags & O_ACCMODE) == O_RDONLY) {
    return fail(ErrorKind::kInvalid,
                "output to descriptor {}: it is open for reading only; open it for writing", fd);
  }
  if (S_ISREG(about.st_mode) || is_null_device(about) || (flags & O_NONBLOCK) != 0)
    return FdSink(fd, Way::kPlain, {});
  if (S_ISSOCK(about.st_mode)) return FdSink(fd, Way::kSocket, {});
  if (S_ISFIFO(about.st_mode) && takes_nowait(fd)) return FdSink(fd, Way::kNoWait, {});
  // An open file of our own can be non-blocking without others noticing. It cannot be had where
  // /proc is missing or the path is not ours to open.
  UniqueFd own(::open(fmt::format("/proc/self/fd/{}", fd).c_str(),
                      O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!own) return FdSink(fd, Way::kAsk, {});
  const int own_fd = own.get();
  return FdSink(own_fd, Way::kPlain, std::move(own));
}

Result<std::size_t> FdSink::write(std::span<const std::byte> bytes) {
  switch (way_) {
    case Way::kSocket: {
      ssize_t count = -1;
      do {
        count = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      } while (count < 0 && errno == EINTR);
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
      return fail_errno(errno, "output");
    }
    case Way::kNoWait: {
      const iovec all{const_cast<std::byte*>(bytes.data()), bytes.size()};
      ssize_t count = -1;
      do {
        count = write_buffers(fd_, std::span(&all, 1), kNoOffset, RWF_NOWAIT);
      } while (count < 0 && errno == EINTR);
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno == EAGAIN) return 0;
      return fail_errno(errno, "output");
    }
    case Way::kAsk: {
      pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
      if (::poll(&ready, 1, 0) == 0) return 0;
      break;
    }
    case Way::kPlain:
      break;
  }
  MOTE_TRY(const auto count, write_some(fd_, bytes));
  return count.value_or(0);
}

}  // namespace mote
