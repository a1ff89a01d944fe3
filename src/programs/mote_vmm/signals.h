// The signals of a monitor, taken by its event loop: those that end it, so that it cleans up first,
// and SIGWINCH, by which a terminal tells that it has another size.
#pragma once

#include <functional>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::vmm {

class Signals {
 public:
  // Blocks SIGTERM, SIGINT, SIGHUP and SIGWINCH in this thread and all that it starts later, and
  // ignores SIGPIPE, whose cause a write reports as well. Call before any other thread exists.
  static void block();

  // Calls `handler` with the number of each such signal, on the loop's thread.
  static Result<Signals> watch(EventLoop& loop, std::function<void(int)> handler);

 private:
  Signals() = default;
  UniqueFd fd_;
  EventLoop::Watch watch_;
};

// Ends the process by `signal`'s default action, so that a parent sees what ended it.
[[noreturn]] void die_by(int signal);

}  // namespace mote::vmm
