// Monitors that go on when whoever started them has ended, asked through their API sockets.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace mote::engine {

struct ServedPlan {
  std::string program;  // mote-vmm
  std::string socket;   // of its API
  std::string output;   // a file that gets what it and its guest print; empty: nobody does
  std::vector<std::string> flags = {};
};

// Starts one, in a session of its own, which belongs to the caller to wait for. Errors: no process,
// no such file for its output.
Result<pid_t> start_served(const ServedPlan& plan);

// Waits until the machine thread of the monitor `pid` answers at `socket`. Errors: it has ended,
// and what it said of it; it does not answer for ten seconds.
Result<void> await_served(pid_t pid, const ServedPlan& plan);

}  // namespace mote::engine
