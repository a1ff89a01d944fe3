#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "leave.h"
#include "line.h"
#include "streams.h"

enum { kBuffer = 16384, kFirstLookMs = 10, kLastLookMs = 8000 };
static_assert(kBuffer >= kWindow);

struct Buffer {
  size_t begin, end;
  char bytes[kBuffer];
};

struct Session {
  struct Line line;
  struct Streams streams;
  int signals;
  pid_t command;
  bool ended;
  int wait_status;
  bool last_input;  // DSR has dropped: a read that finds nothing finds the end
  int look_ms;      // how long after the last look at DSR the next one is due; -1: never
  int64_t last_look_ms;
  struct Buffer input, output;
};

static bool is_empty(const struct Buffer* buffer) { return buffer->begin == buffer->end; }

static void take(struct Buffer* buffer, size_t count) {
  buffer->begin += count;
  if (is_empty(buffer)) buffer->begin = buffer->end = 0;
}

// The signals that are handed on to the command, and the one that tells of children, as a
// descriptor.
static int open_signals(void) {
  static const int kSignals[] = {SIGCHLD, SIGTERM, SIGINT,  SIGHUP,
                                 SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof kSignals / sizeof kSignals[0]; ++i) sigaddset(&set, kSignals[i]);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) die("cannot receive signals: %s", strerror(errno));
  return fd;
}

// The watcher misses a change that comes before it sleeps, so DSR is looked at now and then in its
// first seconds.
static void start_watching(struct Session* session) {
  line_watch(&session->line);
  session->look_ms = kFirstLookMs;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void look_at_line(struct Session* session) {
  session->last_input = line_input_ended(&session->line);
  session->last_look_ms = now_ms();
  const bool enough = session->last_input || session->look_ms >= kLastLookMs;
  session->look_ms = enough ? -1 : session->look_ms * 2;
}

// How long poll() may wait.
static int until_look(const struct Session* session) {
  if (session->look_ms < 0 || session->streams.to_command < 0) return -1;
  const int64_t left = session->last_look_ms + session->look_ms - now_ms();
  return left > 0 ? (int)left : 0;
}

static void reap(struct Session* session) {
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    if (pid == session->command) {
      session->ended = true;
      session->wait_status = status;
    } else if (pid == session->line.watcher) {
      session->line.watcher = 0;
      look_at_line(session);
      // It woke for nothing, or somebody in the guest killed it.
      if (!session->last_input) start_watching(session);
    }
  }
}

static void take_signals(struct Session* session) {
  struct signalfd_siginfo info;
  while (read(session->signals, &info, sizeof info) == (ssize_t)sizeof info) {
    if (info.ssi_signo == SIGCHLD) {
      reap(session);
    } else if (!session->ended) {
      // From the kernel itself SIGINT is ctrl-alt-del: the host asks for an end.
      const bool shut_down = info.ssi_signo == SIGINT && info.ssi_code == SI_KERNEL;
      kill(session->command, shut_down ? SIGTERM : (int)info.ssi_signo);
    }
  }
}

static void move_input(struct Session* session) {
  struct Streams* streams = &session->streams;
  struct Buffer* buffer = &session->input;
  while (streams->to_command >= 0) {
    if (is_empty(buffer)) {
      buffer->end = line_read(&session->line, buffer->bytes, kWindow);
      if (is_empty(buffer)) {
        if (session->last_input) streams_end_input(streams);
        return;
      }
    }
    const ssize_t count =
        write(streams->to_command, buffer->bytes + buffer->begin, buffer->end - buffer->begin);
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) {
      // The command has closed its input: what is left of it is nobody's.
      if (!streams->is_terminal) close(streams->to_command);
      streams->to_command = -1;
      return;
    }
    take(buffer, (size_t)count);
    if (is_empty(buffer) && !session->last_input) line_want_input(&session->line);
  }
}

// Returns whether there was any; the end of the output closes it.
static bool fetch_output(struct Session* session) {
  struct Streams* streams = &session->streams;
  if (streams->from_command < 0) return false;
  const ssize_t count = read(streams->from_command, session->output.bytes, kBuffer);
  if (count > 0) {
    session->output.end = (size_t)count;
    return true;
  }
  if (count < 0 && errno == EAGAIN) return false;
  // The end, which a terminal tells as EIO. A terminal's descriptor serves the input as well.
  if (!streams->is_terminal) close(streams->from_command);
  streams->from_command = -1;
  return false;
}

static void move_output(struct Session* session) {
  struct Buffer* buffer = &session->output;
  while (!is_empty(buffer) || fetch_output(session)) {
    const size_t count =
        line_write(&session->line, buffer->bytes + buffer->begin, buffer->end - buffer->begin);
    if (count == 0) return;
    take(buffer, count);
  }
}

static void wait_for_events(struct Session* session) {
  const struct Streams* streams = &session->streams;
  const bool feeds = streams->to_command >= 0;
  const bool has_input = !is_empty(&session->input);
  const bool has_output = !is_empty(&session->output);
  short line_events = 0;
  if (feeds && !has_input) line_events |= POLLIN;
  if (has_output) line_events |= POLLOUT;
  struct pollfd polls[] = {
      {.fd = session->signals, .events = POLLIN},
      {.fd = session->line.fd, .events = line_events},
      {.fd = has_output ? -1 : streams->from_command, .events = POLLIN},
      // Without input to write, a pipe still tells that its reader is gone.
      {.fd = has_input || !streams->is_terminal ? streams->to_command : -1,
       .events = has_input ? POLLOUT : 0},
  };
  const int ready = poll(polls, sizeof polls / sizeof polls[0], until_look(session));
  if (ready < 0 && errno != EINTR) die("cannot wait for input and output: %s", strerror(errno));
  if (until_look(session) == 0) look_at_line(session);
  if ((polls[1].revents & (POLLHUP | POLLERR)) != 0) die("the line to the host was hung up");
  if (polls[0].revents != 0) take_signals(session);
  if ((polls[3].revents & POLLERR) != 0 && !has_input) {
    close(streams->to_command);
    session->streams.to_command = -1;
  }
}

// What the command wrote is in its stream by now; what others write any more is not waited for.
static void finish(struct Session* session) {
  kill(-1, SIGKILL);
  const int flags = fcntl(session->line.fd, F_GETFL);
  fcntl(session->line.fd, F_SETFL, flags & ~O_NONBLOCK);
  move_output(session);
  line_drain(&session->line);
}

int session_run(const struct Config* config) {
  struct Session session = {};
  session.signals = open_signals();
  session.line = line_open();
  start_watching(&session);
  session.streams = streams_open(config);
  session.command = command_start(config, &session.streams);
  streams_close_command_ends(&session.streams);
  look_at_line(&session);
  if (!session.last_input) line_want_input(&session.line);
  while (!session.ended) {
    move_input(&session);
    move_output(&session);
    wait_for_events(&session);
  }
  finish(&session);
  return command_status(session.wait_status);
}
