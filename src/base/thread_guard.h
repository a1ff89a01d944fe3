// What every thread of a program does before its own work, by the kind that it is: the monitor
// gives up the system calls that such a thread needs not. Whoever starts a thread says its kind and
// knows nothing of filters.
#pragma once

#include <cstdint>

namespace mote {

enum class ThreadKind : std::uint8_t {
  kApi,     // parses what clients send
  kVcpu,    // runs a processor of the guest
  kWorker,  // waits for the host's storage in another's place
};

using ThreadGuard = void (*)(ThreadKind);

// Has enter_thread() call `guard` from now on; null, as in the beginning: nothing. Before the
// threads start that it is for.
void set_thread_guard(ThreadGuard guard);
// The first thing that a thread does.
void enter_thread(ThreadKind kind);

}  // namespace mote
