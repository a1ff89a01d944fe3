// The host's side of vsock in Firecracker's form: one Unix socket for host programs that connect to
// the guest, which say `CONNECT <port>` and a line feed, and are answered `OK <port of theirs>`;
// and a socket `<path>_<port>` of the host program's for each port that the guest connects to.
// Belongs to the machine thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <list>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "virtio/vsock/host.h"

namespace mote::virtio::vsock {

class UnixBackend final : public HostBackend {
 public:
  struct Limits {
    std::size_t half_open = 256;  // clients that have not said what they want; the oldest gives way
    std::chrono::nanoseconds patience = std::chrono::seconds(2);  // for them to say it
  };

  // Raises the process's limit of open files where `connections` and clients that have not said
  // their line do not fit under it, beside what a machine has open; the log tells when they do not.
  static void make_room(std::size_t connections);

  // Makes the socket `path` (1 to 107 bytes). Errors: something is there already (kInvalid), or the
  // host refuses.
  static Result<std::unique_ptr<UnixBackend>> create(const std::string& path, EventLoop& loop,
                                                     Limits limits);
  static Result<std::unique_ptr<UnixBackend>> create(const std::string& path, EventLoop& loop) {
    return create(path, loop, Limits{});
  }
  // Removes the socket, unless another has taken its name, or it is to stay.
  ~UnixBackend() override;

  Result<std::unique_ptr<HostStream>> connect(std::uint32_t port) override;
  Result<void> listen(Newcomer newcomer) override;
  void ignore() override;
  std::uint64_t failed() const override { return failed_; }
  void leave_name() override { leaves_name_ = true; }

 private:
  using Clock = std::chrono::steady_clock;

  // A client that has not said everything yet.
  struct HalfOpen {
    UniqueFd fd;
    std::string line;
    Clock::time_point deadline;
    EventLoop::Watch watch;
  };
  using HalfOpens = std::list<HalfOpen>;  // oldest first

  UnixBackend(std::string path, UniqueFd socket, EventLoop& loop, Limits limits);

  void accept_some();
  bool accept_one();
  // False: the client is done with, one way or the other.
  bool hear(HalfOpen& client);
  void introduce(HalfOpen& client);
  void wait_for(HalfOpens::iterator client);
  void tick();
  void rest();

  const std::string path_;
  const Limits limits_;
  EventLoop& loop_;
  UniqueFd socket_;
  dev_t device_ = 0;  // of the socket's name
  ino_t inode_ = 0;
  bool leaves_name_ = false;
  Newcomer newcomer_;
  EventLoop::Watch listening_;
  EventLoop::Timer timer_;
  bool resting_ = false;  // until the timer: the process has no descriptor left
  HalfOpens half_open_;
  std::uint64_t failed_ = 0;
};

// The port of a line `CONNECT <port>`, without its line feed; empty: it is no such line. Words are
// apart by blanks, and the first may be in any case.
std::optional<std::uint32_t> parse_connect(std::string_view line);

}  // namespace mote::virtio::vsock
