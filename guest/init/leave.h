// How a guest ends: its status goes to the exit port, after a message when mote-init itself failed.
#pragma once

enum {
  kStatusInitFailed = 125,     // mote-init could not do its part
  kStatusNotExecutable = 126,  // the command exists and cannot be run
  kStatusNotFound = 127,       // there is no such command
  kStatusSignalBase = 128,     // plus the number of the signal that ended the command
};

// Writes to the console, with the name of this program in front and a newline behind.
[[gnu::format(printf, 1, 2)]] void say(const char* format, ...);

// Hands `status` to the host and ends the machine. Where there is no exit port the machine
// restarts, which ends it too.
[[noreturn]] void leave(int status);

// say() and leave(kStatusInitFailed).
[[noreturn, gnu::format(printf, 1, 2)]] void die(const char* format, ...);
