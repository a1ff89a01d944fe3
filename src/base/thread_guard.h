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
// The first thing that a thread does; the program's first one does note_thread() instead.
void enter_thread(ThreadKind kind);

// Has raise(3), and so abort(), know this thread without asking the kernel which it is: one system
// call less that filters have to allow. Where it was not called, raise(3) asks.
void note_thread();

}  // namespace mote
