#include "leave.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

enum { kExitPort = 0x501 };

[[gnu::format(printf, 1, 0)]]
static void say_values(const char* format, va_list values) {
  char line[512];
  const int prefix = snprintf(line, sizeof line, "mote-init: ");
  vsnprintf(line + prefix, sizeof line - (size_t)prefix, format, values);
  dprintf(STDERR_FILENO, "%s\n", line);
}

void say(const char* format, ...) {
  va_list values;
  va_start(values, format);
  say_values(format, values);
  va_end(values);
}

void die(const char* format, ...) {
  va_list values;
  va_start(values, format);
  say_values(format, values);
  va_end(values);
  leave(kStatusInitFailed);
}

static void write_exit_port(uint8_t status) {
  if (ioperm(kExitPort, 1, 1) == 0) {
    outb(status, kExitPort);
    return;
  }
  const int ports = open("/dev/port", O_WRONLY | O_CLOEXEC);  // for kernels without ioperm
  if (ports < 0 || pwrite(ports, &status, 1, kExitPort) != 1) {
    say("cannot reach the exit port: %s", strerror(errno));
  }
}

void leave(int status) {
  sync();  // for a disk that the command mounted itself
  tcdrain(STDERR_FILENO);
  write_exit_port((uint8_t)status);
  // Still here: the machine has no exit port.
  reboot(RB_AUTOBOOT);
  for (;;) pause();
}
