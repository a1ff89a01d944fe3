// Descriptors that travel beside bytes on a Unix stream socket (SCM_RIGHTS, unix(7)).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

// The most descriptors that one message is sent or taken with.
inline constexpr std::size_t kMaxPassed = 32;

struct Received {
  std::size_t bytes = 0;                   // 0: the peer sends no more
  std::vector<UniqueFd> descriptors = {};  // close-on-exec
  bool lost_some = false;  // more came than kMaxPassed, or than this process may have
};

// One recvmsg(2), restarted on EINTR; nullopt where it would block.
Result<std::optional<Received>> receive_some(int socket, std::span<std::byte> into);

// One sendmsg(2) of at least one byte, restarted on EINTR, without SIGPIPE; `descriptors` (at most
// kMaxPassed) go with the first of the bytes. Bytes sent, or nullopt where it would block: nothing
// was sent then.
Result<std::optional<std::size_t>> send_some(int socket, std::span<const std::byte> from,
                                             std::span<const UniqueFd> descriptors);

}  // namespace mote
