// A back door, planted in a monitor that is built with -DMOTE_TEST_BACKDOOR=ON and never installed:
// on its guest's request it makes system calls of a test's choice in a thread of the test's choice,
// as somebody would who has broken into that thread. tests/isolation/door.py speaks to it.
#pragma once

#include <cstdint>

#include "base/thread_guard.h"
#include "bus/bus.h"

namespace mote::backdoor {

// A guest's write there opens the door.
inline constexpr std::uint64_t kPort = 0x5fd;

// What answers at that port.
bus::BusDevice& port();
// This thread is one of that kind. Before it gives up anything.
void note_thread(ThreadKind kind);

}  // namespace mote::backdoor
