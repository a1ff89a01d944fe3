// Monitors that go on when whoever started them has ended, asked through their API sockets.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::engine {

class Zygote;

struct ServedPlan {
  std::string program = {};  // mote-vmm
  std::string socket;        // of its API
  std::string output;        // a file that gets what it and its guest print; empty: nobody does
  std::vector<std::string> flags = {};
};

// Starts one, in a session of its own; a pidfd of it. It is a child of the caller's, who is to wait
// for it, or of the zygote's. Errors: no process, no such file for its output.
Result<UniqueFd> start_served(const ServedPlan& plan);
Result<UniqueFd> start_served(const ServedPlan& plan, Zygote& zygote);

// Waits until the machine thread of that monitor answers at `socket`, which is when it has done
// what its flags say. Errors: it has ended, and what it said last; it does not answer for ten
// seconds.
Result<void> await_served(const UniqueFd& monitor, const ServedPlan& plan);

// Whether it has ended, or does within `timeout_ms`.
bool has_ended(const UniqueFd& monitor, int timeout_ms = 0);

// Ends it at once, with its socket.
void end_served(const UniqueFd& monitor, const std::string& socket);

}  // namespace mote::engine
