// Whether long work on the thread that takes the process's signals is to be given up.
#pragma once

namespace mote {

// SIGTERM, SIGINT or SIGHUP was sent, is blocked, and waits to be taken by an event loop.
bool asked_to_end();

}  // namespace mote
