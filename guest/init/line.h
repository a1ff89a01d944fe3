// The line to the host: the second UART, raw both ways. It loses nothing, at any speed and load,
// because input comes only in windows that the guest opens, and the end of the host's input is told
// by a modem line:
//
// - OUT1 (modem control, bit 2), which no driver touches by itself, opens a window whenever it
// rises: the host may then
//   send kWindow bytes. Linux buffers more than that for a terminal, so they all arrive even while
//   nobody reads. The next window is opened when these bytes have been read and passed on. Nothing
//   comes before the first window, hence nothing meets the line while it is not raw yet.
// - DSR drops when the host's input has ended and its last byte was taken. That byte may then still
// be on its way
//   through the kernel, but a read finds it: the kernel looks at the line under the lock of the
//   interrupt's handler, and empties its queues before a read says that there is nothing.
//
// On a host that knows neither (QEMU), input comes unasked and never ends.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { kWindow = 4096 };

struct Line {
  int fd;              // nonblocking
  size_t window_left;  // bytes that the host may still send
  pid_t watcher;       // the process that waits for a change of DSR; 0: none
};

// Opens /dev/ttyS1 raw. Dies with a message when there is none.
struct Line line_open(void);

// Starts the process that sleeps until DSR changes and then ends.
void line_watch(struct Line* line);

// Opens a window when the last one is used up.
void line_want_input(struct Line* line);

// Whether the host's input has ended. What came before it can be read still.
bool line_input_ended(const struct Line* line);

// Reads at most `size` bytes; 0: none now.
size_t line_read(struct Line* line, char* bytes, size_t size);

// Writes what fits; 0: nothing now.
size_t line_write(struct Line* line, const char* bytes, size_t size);

// Waits until everything written has left the UART.
void line_drain(struct Line* line);
