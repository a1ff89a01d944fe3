// Gives up system calls, for the calling thread and all that it starts later.
#pragma once

#include "base/result.h"
#include "isolation/seccomp/program.h"

namespace mote::seccomp {

// Whatever the process executes gets no rights by it from now on: the kernel takes a filter of
// nobody else.
Result<void> give_up_new_privileges();

// Adds `program` to the filters of this thread; what all of them allow is allowed. A comparison
// with kSelf becomes one with this process's id, and, where it `connects` sockets, one with
// kConnected one with AF_UNIX. Errors: a kernel without filters, or one that does not take this.
Result<void> install(Program program, bool connects = false);

}  // namespace mote::seccomp
