#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "leave.h"

static void set_nonblocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    die("cannot set up the command's streams: %s", strerror(errno));
  }
}

// So that the command can open /dev/stdin and the like again.
static void give_to_user(const struct Config* config, int fd) {
  if (config->has_user && fchown(fd, config->uid, (gid_t)-1) != 0) {
    die("cannot give the command's streams to user %u: %s", config->uid, strerror(errno));
  }
}

static struct Streams open_pipes(void) {
  int input[2], output[2];
  if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0) {
    die("cannot make the command's pipes: %s", strerror(errno));
  }
  return (struct Streams){
      .to_command = input[1], .from_command = output[0], .input = input[0], .output = output[1]};
}

static struct Streams open_terminal(const struct Config* config) {
  const int host_end = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  const int command_end = host_end >= 0 && unlockpt(host_end) == 0
                              ? ioctl(host_end, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)
                              : -1;
  if (command_end < 0) die("cannot make the command's terminal: %s", strerror(errno));
  const struct winsize size = {.ws_row = config->rows, .ws_col = config->columns};
  struct termios settings;
  if (ioctl(command_end, TIOCSWINSZ, &size) != 0 || tcgetattr(command_end, &settings) != 0) {
    die("cannot set the terminal's size: %s", strerror(errno));
  }
  settings.c_iflag |= IUTF8;
  tcsetattr(command_end, TCSANOW, &settings);
  return (struct Streams){.to_command = host_end,
                          .from_command = host_end,
                          .input = command_end,
                          .output = command_end,
                          .is_terminal = true};
}

struct Streams streams_open(const struct Config* config) {
  const struct Streams streams = config->tty ? open_terminal(config) : open_pipes();
  set_nonblocking(streams.to_command);
  set_nonblocking(streams.from_command);
  give_to_user(config, streams.input);
  give_to_user(config, streams.output);
  return streams;
}

int streams_adopt(const struct Streams* streams) {
  if (streams->is_terminal && ioctl(streams->input, TIOCSCTTY, 0) != 0) return -1;
  return dup2(streams->input, STDIN_FILENO) < 0 || dup2(streams->output, STDOUT_FILENO) < 0 ||
                 dup2(streams->output, STDERR_FILENO) < 0
             ? -1
             : 0;
}

void streams_close_command_ends(struct Streams* streams) {
  close(streams->input);
  if (streams->output != streams->input) close(streams->output);
  streams->input = streams->output = -1;
}

void streams_end_input(struct Streams* streams) {
  if (streams->to_command < 0) return;
  struct termios settings;
  if (!streams->is_terminal) {
    close(streams->to_command);
  } else if (tcgetattr(streams->to_command, &settings) == 0 && (settings.c_lflag & ICANON) != 0) {
    const char end_of_file = (char)settings.c_cc[VEOF];
    // A terminal whose queue is full has a reader that is not waiting for an end.
    if (write(streams->to_command, &end_of_file, 1) != 1)
      say("the terminal does not take the end of input");
  }
  streams->to_command = -1;
}
