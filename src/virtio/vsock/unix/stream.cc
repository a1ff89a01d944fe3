#include "virtio/vsock/unix/stream.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <utility>

namespace mote::virtio::vsock {
namespace {

// What recvmsg() or sendmsg() returned, restarted where a signal came between.
template <typename Call>
Result<std::optional<std::size_t>> transfer(const char* what, Call call) {
  ssize_t count = 0;
  do {
    count = call();
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN) return std::nullopt;
  return fail_errno(errno, "{}", what);
}

msghdr message_of(std::span<const iovec> buffers) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(buffers.data());  // the interface is C, and leaves it alone
  message.msg_iovlen = buffers.size();
  return message;
}

}  // namespace

Result<std::optional<std::size_t>> UnixStream::read(std::span<const iovec> buffers) {
  MOTE_CHECK(catch_up());
  if (glanced_ > 0) return read_glanced(buffers);
  msghdr message = message_of(buffers);
  return transfer("read from a host program",
                  [&] { return ::recvmsg(fd_.get(), &message, MSG_DONTWAIT); });
}

// Taking bytes from a socket wakes a program that sleeps in a read of its own, as it has room to
// write again; where it runs on this processor, it runs first. So a short answer is copied, handed
// out from here, and taken from the socket once the guest has been told (release()).
bool UnixStream::waiting() {
  glanced_ = 0;
  if (owed_ > 0) return false;  // only read() can say what is there
  const iovec buffer{.iov_base = glance_.data(), .iov_len = glance_.size()};
  msghdr message = message_of({&buffer, 1});
  const ssize_t count = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_PEEK);
  // A longer one is not worth a copy.
  if (count > 0 && std::cmp_less(count, kGlance)) glanced_ = static_cast<std::size_t>(count);
  return count >= 0;
}

std::size_t UnixStream::read_glanced(std::span<const iovec> buffers) {
  std::span<const std::byte> left(glance_.data(), glanced_);
  for (const iovec& buffer : buffers) {
    const auto here = left.first(std::min(buffer.iov_len, left.size()));
    std::ranges::copy(here, static_cast<std::byte*>(buffer.iov_base));
    left = left.subspan(here.size());
  }
  owed_ = std::exchange(glanced_, 0) - left.size();
  return owed_;
}

void UnixStream::release() {
  glanced_ = 0;
  static_cast<void>(catch_up());
}

// Nobody else takes bytes from this socket, so they are there; an error keeps them from being
// handed out twice.
Result<void> UnixStream::catch_up() {
  while (owed_ > 0) {
    const iovec buffer{.iov_base = glance_.data(), .iov_len = owed_};
    msghdr message = message_of({&buffer, 1});
    MOTE_TRY(const auto count, transfer("read from a host program", [&] {
               return ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
             }));
    if (count.value_or(0) == 0) return fail(ErrorKind::kIo, "a host program's bytes are gone");
    owed_ -= *count;
  }
  return {};
}

Result<std::optional<std::size_t>> UnixStream::write(std::span<const iovec> buffers) {
  const msghdr message = message_of(buffers);
  // A program that is gone is an error to handle, not a signal.
  return transfer("write to a host program",
                  [&] { return ::sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL); });
}

void UnixStream::shut_write() { ::shutdown(fd_.get(), SHUT_WR); }
void UnixStream::shut_read() { ::shutdown(fd_.get(), SHUT_RD); }

Result<void> UnixStream::accepted(std::uint32_t port) {
  if (!greet_) return {};
  const std::string line = fmt::format("OK {}\n", port);
  const iovec buffer{.iov_base = const_cast<char*>(line.data()), .iov_len = line.size()};
  MOTE_TRY(const auto written, write({&buffer, 1}));
  if (written == line.size()) return {};
  return fail(ErrorKind::kIo, "a host program takes no answer to its request");
}

Result<void> UnixStream::watch(bool readable, bool writable) {
  const std::uint32_t events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
  if (watch_) {
    if (events == watched_) return {};
    MOTE_CHECK(watch_.modify(events));
  } else {
    MOTE_TRY(watch_, loop_.watch(fd_.get(), events, [this](std::uint32_t ready) {
      // The listener may destroy this stream.
      listener_({.readable = (ready & EPOLLIN) != 0,
                 .writable = (ready & EPOLLOUT) != 0,
                 .hung_up = (ready & (EPOLLHUP | EPOLLERR)) != 0});
    }));
  }
  watched_ = events;
  return {};
}

}  // namespace mote::virtio::vsock
