#include "base/descriptor_passing.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace mote {
namespace {

// Room for the descriptors of one message.
struct Control {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxPassed * sizeof(int))> bytes{};
};

void take_descriptors(msghdr& header, std::vector<UniqueFd>& into) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      into.emplace_back(fd);
    }
  }
}

}  // namespace

Result<std::optional<Received>> receive_some(int socket, std::span<std::byte> into) {
  Control control;
  iovec part{.iov_base = into.data(), .iov_len = into.size()};
  msghdr header{};
  ssize_t count = 0;
  do {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.bytes.data();
    header.msg_controllen = control.bytes.size();
    count = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    if (errno == EAGAIN) return std::nullopt;
    return fail_errno(errno, "receive");
  }
  Received received{.bytes = static_cast<std::size_t>(count),
                    .lost_some = (header.msg_flags & MSG_CTRUNC) != 0};
  if (header.msg_controllen > 0) take_descriptors(header, received.descriptors);
  return received;
}

Result<std::optional<std::size_t>> send_some(int socket, std::span<const std::byte> from,
                                             std::span<const UniqueFd> descriptors) {
  if (descriptors.size() > kMaxPassed) {
    return fail(ErrorKind::kInternal, "{} descriptors are too many for a message",
                descriptors.size());
  }
  Control control;
  iovec part{.iov_base = const_cast<std::byte*>(from.data()), .iov_len = from.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control.bytes.data();
    header.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      const int fd = descriptors[i].get();
      std::memcpy(CMSG_DATA(rights) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  ssize_t count = 0;
  do {
    count = ::sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN) return std::nullopt;
  return fail_errno(errno, "send {} bytes", from.size());
}

}  // namespace mote
