// Channel carries vhost-user messages and the descriptors that go with them. A backend that is
// slow, gone or hostile costs an error: every call has a time by which it is back.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "virtio/vhost_user/protocol.h"

namespace mote::virtio::vhost_user {

struct Reply {
  std::vector<std::byte> payload;
  std::vector<UniqueFd> fds;
};

class Channel {
 public:
  // How long a backend may take to take or answer one message.
  static constexpr std::chrono::milliseconds kPatience{2000};

  // Connects to the Unix socket at `path`. Errors: nobody listens there (kNotFound, kIo), or no
  // room in the listener's queue (kResource).
  static Result<Channel> connect(const std::string& path);
  // Over a stream socket that is connected.
  static Result<Channel> adopt(UniqueFd socket, std::chrono::milliseconds patience = kPatience);

  // Sends a message. Error: kIo.
  Result<void> send(Request request, bool needs_reply, std::span<const std::byte> payload,
                    std::span<const int> fds = {});
  // The answer to `request`, with at most `most` bytes and kMostFds descriptors, which may take
  // `longer` than others. Errors (kIo): it did not come in time, or it is something else.
  Result<Reply> receive(Request request, std::size_t most,
                        std::chrono::milliseconds longer = std::chrono::milliseconds(0));

  // Readable, without a message that was asked for: the backend is gone, or breaks the protocol.
  int fd() const { return socket_.get(); }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMostFds = 8;

  Channel(UniqueFd socket, std::chrono::milliseconds patience)
      : socket_(std::move(socket)), patience_(patience) {}
  Result<void> wait(short events, Clock::time_point deadline) const;
  Result<void> fill(std::span<std::byte> into, std::vector<UniqueFd>& fds,
                    Clock::time_point deadline) const;

  UniqueFd socket_;
  std::chrono::milliseconds patience_;  // with one message
};

}  // namespace mote::virtio::vhost_user
