// The command: its process, user, directory and environment.
#pragma once

#include <sys/types.h>

#include "config.h"
#include "streams.h"

// Starts the command with its ends of `streams`. Returns its process; dies with a message when none
// can be made. A command that cannot be executed says so on its standard error and ends with 126 or
// 127, as a shell's would.
pid_t command_start(const struct Config* config, const struct Streams* streams);

// The status to hand to the host for what waitpid() told.
int command_status(int wait_status);
