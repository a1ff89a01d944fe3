// A command's run: its input and output between its streams and the line to the host, the signals
// that init gets, and the orphans that become init's children.
#pragma once

#include "config.h"

// Runs the configured command to its end, and returns when the last of its output has left the
// machine. Everything else that runs is killed then. The status is the command's, or 128 and the
// signal that ended it.
int session_run(const struct Config* config);
