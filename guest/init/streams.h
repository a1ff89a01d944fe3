// The command's standard streams, init's ends and the command's: pipes, or a pseudo-terminal.
#pragma once

#include "config.h"

struct Streams {
  int to_command;    // init writes input here; -1: closed. Nonblocking
  int from_command;  // init reads output here. Nonblocking; the same descriptor as to_command for a
                     // terminal
  int input, output;  // the command's ends, closed by streams_close_command_ends()
  bool is_terminal;
};

// Makes them as the configuration says; they belong to its user. Dies with a message when that
// cannot be done.
struct Streams streams_open(const struct Config* config);

// In the command's process: makes its ends the standard streams, a terminal the controlling one.
// Returns 0, or -1 with errno.
int streams_adopt(const struct Streams* streams);

void streams_close_command_ends(struct Streams* streams);

// The host's input has ended: a pipe is closed; a terminal in line mode gets its end-of-file
// character.
void streams_end_input(struct Streams* streams);
