#include "base/unique_fd.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <limits>

#include "base/file.h"

namespace mote {
namespace {

// Offsets are signed to the kernel, and -1 is none.
Result<void> check_place(std::size_t size, std::uint64_t offset) {
  constexpr std::uint64_t kLast = std::numeric_limits<off_t>::max();
  if (offset <= kLast && size <= kLast - offset) return {};
  return fail(ErrorKind::kInvalid, "{} bytes at offset {} are beyond any file", size, offset);
}

}  // namespace

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<UniqueFd> UniqueFd::duplicate() const {
  UniqueFd copy(::fcntl(fd_, F_DUPFD_CLOEXEC, 0));
  if (!copy) return fail_errno(errno, "duplicate descriptor {}", fd_);
  return copy;
}

Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) return fail_errno(errno, "open '{}'", path);
  return fd;
}

std::uint64_t allow_descriptors(std::uint64_t least) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= least) return limit.rlim_cur;
  const rlimit raised{.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
  return ::setrlimit(RLIMIT_NOFILE, &raised) < 0 ? limit.rlim_cur : raised.rlim_cur;
}

Result<UniqueFd> make_eventfd(unsigned initial) {
  UniqueFd fd(::eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return fail_errno(errno, "create an eventfd");
  return fd;
}

Result<std::optional<std::size_t>> read_some(int fd, std::span<std::byte> into) {
  ssize_t count = 0;
  do {
    count = read_next(fd, into);
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN) return std::nullopt;
  return fail_errno(errno, "read descriptor {}", fd);
}

Result<std::optional<std::size_t>> write_some(int fd, std::span<const std::byte> from) {
  ssize_t count = 0;
  do {
    count = ::write(fd, from.data(), from.size());
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN) return std::nullopt;
  return fail_errno(errno, "write descriptor {}", fd);
}

Result<std::size_t> read_at(int fd, std::span<std::byte> into, std::uint64_t offset) {
  MOTE_CHECK(check_place(into.size(), offset));
  std::size_t done = 0;
  while (done < into.size()) {
    const iovec rest{into.data() + done, into.size() - done};
    const ssize_t count = read_buffers(fd, std::span(&rest, 1), static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "read {} bytes at offset {}", into.size(), offset);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<void> write_at(int fd, std::span<const std::byte> from, std::uint64_t offset) {
  MOTE_CHECK(check_place(from.size(), offset));
  std::size_t done = 0;
  while (done < from.size()) {
    const iovec rest{const_cast<std::byte*>(from.data()) + done, from.size() - done};
    const ssize_t count = write_buffers(fd, std::span(&rest, 1), static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "write {} bytes at offset {}", from.size(), offset);
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Result<void> write_all(int fd, std::span<const std::byte> from) {
  while (!from.empty()) {
    const ssize_t count = ::write(fd, from.data(), from.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "write descriptor {}", fd);
    from = from.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::string> read_all(int fd, std::size_t limit) {
  std::string text;
  std::array<std::byte, 4096> buffer;
  while (true) {
    MOTE_TRY(const auto count, read_some(fd, buffer));
    if (!count) return fail(ErrorKind::kIo, "descriptor {} has nothing to read yet", fd);
    if (*count == 0) return text;
    if (text.size() + *count > limit) {
      return fail(ErrorKind::kInvalid, "more than {} bytes, which is the most that is read", limit);
    }
    text.append(reinterpret_cast<const char*>(buffer.data()), *count);
  }
}

void signal_eventfd(int fd) {
  const std::uint64_t one = 1;
  // EAGAIN means that the counter is full, so its reader has been told already.
  [[maybe_unused]] const ssize_t written = ::write(fd, &one, sizeof one);
}

std::uint64_t drain_eventfd(int fd) {
  std::uint64_t count = 0;
  const ssize_t taken = read_next(fd, std::as_writable_bytes(std::span(&count, 1)));
  return taken == sizeof count ? count : 0;
}

}  // namespace mote
