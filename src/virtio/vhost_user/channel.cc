#include "virtio/vhost_user/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace mote::virtio::vhost_user {
namespace {

constexpr std::size_t kControlRoom = CMSG_SPACE(8 * sizeof(int));

// Takes the descriptors that came with a message, all of them, so that none is left open.
bool take_fds(msghdr& message, std::vector<UniqueFd>& fds) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return (message.msg_flags & MSG_CTRUNC) == 0;
}

}  // namespace

Result<Channel> Channel::connect(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::kInvalid, "the path of the socket '{}' has {} bytes; {} are the most",
                path, path.size(), sizeof address.sun_path - 1);
  }
  path.copy(address.sun_path, path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "make a socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    return fail_errno(errno, "connect to '{}'", path);
  }
  return Channel(std::move(socket), kPatience);
}

Result<Channel> Channel::adopt(UniqueFd socket, std::chrono::milliseconds patience) {
  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) < 0) {
    return fail_errno(errno, "set up a socket");
  }
  return Channel(std::move(socket), patience);
}

Result<void> Channel::wait(short events, Clock::time_point deadline) const {
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      return fail(ErrorKind::kIo, "the vhost-user backend does not answer in time");
    }
    pollfd poll{.fd = socket_.get(), .events = events, .revents = 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(left));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail_errno(errno, "wait for the vhost-user backend");
  }
}

Result<void> Channel::send(Request request, bool needs_reply, std::span<const std::byte> payload,
                           std::span<const int> fds) {
  const auto deadline = Clock::now() + patience_;
  const MessageHeader header{.request = request,
                             .flags = kVersion | (needs_reply ? kNeedsReply : 0),
                             .size = static_cast<std::uint32_t>(payload.size())};
  std::vector<std::byte> bytes(sizeof header + payload.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  std::ranges::copy(payload, bytes.begin() + sizeof header);
  alignas(cmsghdr) std::array<std::byte, kControlRoom> control{};
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    iovec part{bytes.data() + sent, bytes.size() - sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (sent == 0 && !fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds.size_bytes());
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(fds.size_bytes());
      std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
    }
    const ssize_t count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      MOTE_CHECK(wait(POLLOUT, deadline));
    } else if (errno != EINTR) {
      return fail_errno(errno, "send to the vhost-user backend");
    }
  }
  return {};
}

Result<void> Channel::fill(std::span<std::byte> into, std::vector<UniqueFd>& fds,
                           Clock::time_point deadline) const {
  alignas(cmsghdr) std::array<std::byte, kControlRoom> control{};
  while (!into.empty()) {
    iovec part{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t count = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (count > 0) {
      if (!take_fds(message, fds) || fds.size() > kMostFds) {
        return fail(ErrorKind::kIo, "the vhost-user backend sends too many descriptors");
      }
      into = into.subspan(static_cast<std::size_t>(count));
    } else if (count == 0) {
      return fail(ErrorKind::kIo, "the vhost-user backend has closed the connection");
    } else if (errno == EAGAIN) {
      MOTE_CHECK(wait(POLLIN, deadline));
    } else if (errno != EINTR) {
      return fail_errno(errno, "receive from the vhost-user backend");
    }
  }
  return {};
}

Result<Reply> Channel::receive(Request request, std::size_t most,
                               std::chrono::milliseconds longer) {
  const auto deadline = Clock::now() + patience_ + longer;
  Reply reply;
  MessageHeader header;
  MOTE_CHECK(fill(std::as_writable_bytes(std::span(&header, 1)), reply.fds, deadline));
  if (header.request != request || (header.flags & kVersionMask) != kVersion ||
      (header.flags & kIsReply) == 0) {
    return fail(
        ErrorKind::kIo, "the vhost-user backend answers request {} with message {} (flags {:#x})",
        static_cast<unsigned>(request), static_cast<unsigned>(header.request), header.flags);
  }
  if (header.size > most) {
    return fail(ErrorKind::kIo, "the vhost-user backend answers request {} with {} bytes",
                static_cast<unsigned>(request), header.size);
  }
  reply.payload.resize(header.size);
  MOTE_CHECK(fill(reply.payload, reply.fds, deadline));
  return reply;
}

}  // namespace mote::virtio::vhost_user
