// Clones of a snapshot: a machine that was loaded is another than the one that was saved, and what
// runs in it has to learn that.
#pragma once

// `mote-init watch-clones [COMMAND [ARG...]]`: waits for the machine's generation to change (its
// VMClock, which a load counts up), sets the clock to the host's time, and runs COMMAND, each time.
// Returns the status to exit with, where it cannot go on.
int watch_clones(char** command);
