// A connected Unix socket as the host's end of a vsock connection.
#pragma once

#include <array>
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
  bool waiting() override;
  void release() override;
  Result<std::optional<std::size_t>> write(std::span<const iovec> buffers) override;
  void shut_write() override;
  void shut_read() override;
  Result<void> accepted(std::uint32_t port) override;
  void set_listener(Listener listener) override { listener_ = std::move(listener); }
  Result<void> watch(bool readable, bool writable) override;
  void unwatch() override { watch_.cancel(); }

 private:
  // The most that a look remembers.
  static constexpr std::size_t kGlance = 128;

  std::size_t read_glanced(std::span<const iovec> buffers);
  Result<void> catch_up();

  EventLoop& loop_;
  UniqueFd fd_;
  bool greet_;
  Listener listener_;
  std::uint32_t watched_ = 0;  // events, while watch_ is there
  EventLoop::Watch watch_;
  std::array<std::byte, kGlance> glance_;  // what the last look saw
  std::size_t glanced_ = 0;                // bytes of it that read() has not handed out
  std::size_t owed_ = 0;                   // that were handed out, and are still in the socket
};

}  // namespace mote::virtio::vsock
