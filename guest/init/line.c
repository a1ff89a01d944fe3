#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "leave.h"

#define LINE_DEVICE "/dev/ttyS1"

enum { kDescriptors = 64 };  // more than this program ever has open

static void set_lines(int fd, unsigned long request, int lines) {
  if (ioctl(fd, request, &lines) != 0) die(LINE_DEVICE ": modem lines: %s", strerror(errno));
}

struct Line line_open(void) {
  struct Line line = {.fd = open(LINE_DEVICE, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)};
  struct termios settings;
  if (line.fd < 0 || tcgetattr(line.fd, &settings) != 0) {
    die("cannot open " LINE_DEVICE
        ", the line to the host: %s; has the machine a second serial port, and the kernel "
        "8250.nr_uarts=2 or more?",
        strerror(errno));
  }
  cfmakeraw(&settings);
  settings.c_cflag &=
      ~(tcflag_t)(CLOCAL | CRTSCTS | HUPCL);  // without CLOCAL the driver hears of DSR
  settings.c_cflag |= CREAD;
  cfsetspeed(&settings, B115200);  // of no effect but on how long the driver waits when it drains
  if (tcsetattr(line.fd, TCSANOW, &settings) != 0)
    die(LINE_DEVICE ": raw mode: %s", strerror(errno));
  set_lines(line.fd, TIOCMBIS, TIOCM_DTR | TIOCM_RTS);
  return line;
}

void line_watch(struct Line* line) {
  line->watcher = fork();
  if (line->watcher < 0) die("cannot start the watcher of the line: %s", strerror(errno));
  if (line->watcher > 0) return;
  // A pipe's end that stayed open here would keep its other end from seeing the command close it.
  for (int fd = STDERR_FILENO + 1; fd < kDescriptors; ++fd) {
    if (fd != line->fd) close(fd);
  }
  ioctl(line->fd, TIOCMIWAIT, TIOCM_DSR);
  _exit(0);
}

void line_want_input(struct Line* line) {
  if (line->window_left > 0) return;
  set_lines(line->fd, TIOCMBIC, TIOCM_OUT1);
  set_lines(line->fd, TIOCMBIS, TIOCM_OUT1);
  line->window_left = kWindow;
}

bool line_input_ended(const struct Line* line) {
  int lines = 0;
  return ioctl(line->fd, TIOCMGET, &lines) == 0 && (lines & TIOCM_DSR) == 0;
}

size_t line_read(struct Line* line, char* bytes, size_t size) {
  const ssize_t count = read(line->fd, bytes, size);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (count < 0) die("reading the line from the host: %s", strerror(errno));
  const size_t taken = (size_t)count;
  line->window_left -= taken < line->window_left ? taken : line->window_left;
  return taken;
}

size_t line_write(struct Line* line, const char* bytes, size_t size) {
  const ssize_t count = write(line->fd, bytes, size);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (count < 0) die("writing the line to the host: %s", strerror(errno));
  return (size_t)count;
}

void line_drain(struct Line* line) { tcdrain(line->fd); }
