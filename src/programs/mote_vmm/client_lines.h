// Lines of the log by which Firecracker's clients, and the tests of those, tell what became of a
// monitor: they look for these words. They stand beside mote's own lines, and only of a program
// that was started under the name `firecracker` (arguments.h).
#pragma once

#include <string_view>

#include "base/result.h"

namespace mote::vmm::client_lines {

// Whether they are: what else such clients expect is done, too.
bool expected();

// From here on they are written, first that the program runs. Before other threads are made.
void begin(std::string_view program);

// What became of a configuration file that a flag names.
void file_started();
void file_failed(const Error& error);

// The monitor ends in order with `status`, or by a signal, whose siginfo has `code`.
void ended(int status);
void ended_by_signal(int signal, int code);
void ended_by_bad_call(int call);

}  // namespace mote::vmm::client_lines
