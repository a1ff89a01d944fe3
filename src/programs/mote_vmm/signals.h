// The signals that end a monitor, taken by the event loop so that it cleans up first.
#pragma once

#include <functional>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::vmm {

class EndingSignals {
 public:
  // Blocks SIGTERM, SIGINT and SIGHUP in this thread and all that it starts later, and ignores
  // SIGPIPE, whose cause a write reports as well. Call before any other thread exists.
  static void block();

  // Calls `handler` with the number of each such signal, on the loop's thread.
  static Result<EndingSignals> watch(EventLoop& loop, std::function<void(int)> handler);

 private:
  EndingSignals() = default;
  UniqueFd fd_;
  EventLoop::Watch watch_;
};

// Ends the process by `signal`'s default action, so that a parent sees what ended it.
[[noreturn]] void die_by(int signal);

}  // namespace mote::vmm
