// ConsoleInput carries a descriptor's bytes to a serial port, no faster than the guest takes them:
// what the port has no room for stays in the descriptor.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "base/event_loop.h"
#include "base/result.h"

namespace mote::machine {

class ConsoleInput {
 public:
  struct Hooks {
    // Takes bytes from the front of what it is given; returns how many.
    std::function<std::size_t(std::span<const std::byte>)> feed;
    // The input has ended and every byte of it was taken. Called once at most.
    std::function<void()> at_end;
  };

  // Carries from `fd`, which stays the caller's, on the loop's thread. A descriptor that cannot be
  // polled (a regular file, /dev/null) counts as always readable; one that cannot be read counts as
  // ended.
  static std::unique_ptr<ConsoleInput> start(EventLoop& loop, int fd, Hooks hooks);

  // The port has room again. On the loop's thread; another posts it there.
  void room();

 private:
  ConsoleInput(EventLoop& loop, int fd, Hooks hooks)
      : loop_(loop), fd_(fd), hooks_(std::move(hooks)) {}

  // Watches the descriptor; where it cannot be polled, reads it at once.
  void wait_for_input();
  // Reads and feeds until the port is full or nothing is left to read.
  void pump();
  bool feed_pending();
  void finish();

  EventLoop& loop_;
  int fd_;
  Hooks hooks_;
  EventLoop::Watch watch_;
  bool ended_ = false;
  std::array<std::byte, 4096> buffer_{};
  std::span<const std::byte> pending_;
};

}  // namespace mote::machine
