// `mote fork`: a running microVM is forked, and its children go on in monitors of their own.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mote::engine {

struct ForkOptions {
  std::string socket;                  // of the parent's monitor
  unsigned count = 1;                  // children that get monitors of a pool, or fresh ones
  std::string directory;               // which gets their sockets and what they print
  std::string pool;                    // of `mote pool`; empty: none
  std::vector<std::string> into = {};  // sockets of monitors, which get a child each, and no others
  std::string with;          // JSON: further fields of the load; {n} is the child's number
  bool paused = false;       // the children wait to be resumed
  std::string program = {};  // mote-vmm; empty: the one beside this program
};

struct ForkReport {
  std::vector<std::string> sockets;   // of the children
  std::vector<std::string> failures;  // why others are none
};

// Errors: the parent cannot be forked; `with` is no JSON object, or `directory` none that can be
// written, which is found before the parent is asked.
Result<ForkReport> fork_microvm(const ForkOptions& options);

// The body of the load that makes child `number` (from 1).
Result<std::string> load_of_child(const ForkOptions& options, unsigned number);

}  // namespace mote::engine
