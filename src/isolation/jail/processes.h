// The processes between the jailer and the monitor, where the monitor is not to be the jailer's own
// process: in a pid namespace, or as a daemon.
#pragma once

#include <sys/types.h>

#include <functional>

#include "base/unique_fd.h"
#include "isolation/jail/request.h"

namespace mote::isolation::jail {

// How the monitor's process comes to be.
struct Detachment {
  bool daemonize = false;   // in a session that has no terminal and no leader that could get one
  bool new_pid_ns = false;  // as the first of its pid namespace
};

// What the monitor's process does: it becomes the monitor, and returns only where it cannot.
// `parents_cpu` is what the processes before it used, in microseconds.
using Become = std::move_only_function<Error(std::uint64_t parents_cpu)>;

// Writes the id of the monitor's process, as it is here.
Result<void> write_pid(const UniqueFd& pid_file, pid_t pid);

// Makes the monitor's process, writes its id, and waits until it has become the monitor. Errors:
// whatever kept it from it. `cpu_before` is what of its CPU time this process began with.
Result<void> detach(Detachment how, const UniqueFd& pid_file, std::uint64_t cpu_before,
                    Become become);

}  // namespace mote::isolation::jail
