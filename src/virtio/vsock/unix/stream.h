// A connected Unix socket as the host's end of a vsock connection.
#pragma once

#include <optional>

#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "virtio/vsock/host.h"

namespace mote::virtio::vsock {

class UnixStream final : public HostStream {
 public:
  // `fd` is non-blocking. `greet`: a host program asked for the connection and waits for its OK.
  UnixStream(UniqueFd fd, EventLoop& loop, bool greet)
      : loop_(loop), fd_(std::move(fd)), greet_(greet) {}

  Result<std::optional<std::size_t>> read(std::span<const iovec> buffers) override;
  Result<std::optional<std::size_t>> write(std::span<const iovec> buffers) override;
  void shut_write() override;
  void shut_read() override;
  Result<void> accepted(std::uint32_t port) override;
  void set_listener(Listener listener) override { listener_ = std::move(listener); }
  Result<void> watch(bool readable, bool writable) override;
  void unwatch() override { watch_.cancel(); }

 private:
  EventLoop& loop_;
  UniqueFd fd_;
  bool greet_;
  Listener listener_;
  std::uint32_t watched_ = 0;  // events, while watch_ is there
  EventLoop::Watch watch_;
};

}  // namespace mote::virtio::vsock
