// spawn_timer: runs a command and says how long it took, in nanoseconds, with little noise of its
// own.
//
//   spawn_timer [--byte N] [--stderr FILE] [--timeout SECONDS] [--keep-stdin] -- COMMAND [ARG...]
//
// One line on stdout: `first=NS exit=NS user=NS system=NS status=N`. `first` is from just before
// posix_spawn until byte N (default 88, 'X') stood on the command's stdout, -1 when it never did;
// `exit` until the process was reaped; user and system are its CPU time (rusage of wait4); status
// is as a shell would say it (128 + signal), or 124 after the timeout.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct Options {
  int byte;
  long timeout_seconds;
  int stderr_fd;
  int keep_stdin;
  char** command;
};

static long long now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long timeval_ns(struct timeval time) {
  return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL;
}

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "spawn_timer: %s: %s\n", what, strerror(errno));
  exit(125);
}

static struct Options parse(int argc, char** argv) {
  struct Options options = {.byte = 'X', .timeout_seconds = 60, .stderr_fd = STDERR_FILENO};
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--") == 0 && i + 1 < argc) {
      options.command = argv + i + 1;
      return options;
    }
    if (strcmp(argv[i], "--keep-stdin") == 0) {
      options.keep_stdin = 1;
    } else if (strcmp(argv[i], "--byte") == 0 && i + 1 < argc) {
      options.byte = (int)strtol(argv[++i], NULL, 10);
    } else if (strcmp(argv[i], "--timeout") == 0 && i + 1 < argc) {
      options.timeout_seconds = strtol(argv[++i], NULL, 10);
    } else if (strcmp(argv[i], "--stderr") == 0 && i + 1 < argc) {
      options.stderr_fd = open(argv[++i], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      if (options.stderr_fd < 0) {
        fail(argv[i]);
      }
    } else {
      break;
    }
  }
  fprintf(stderr,
          "usage: spawn_timer [--byte N] [--stderr FILE] [--timeout SECONDS] [--keep-stdin] -- "
          "COMMAND [ARG...]\n");
  exit(2);
}

// posix_spawn, which shares memory until exec: fork's copy of page tables would be billed to the
// command.
static pid_t spawn(const struct Options* options, int output, int input) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (input >= 0) {
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  }
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, options->stderr_fd, STDERR_FILENO);
  pid_t child = -1;
  errno = posix_spawnp(&child, options->command[0], &actions, NULL, options->command, environ);
  if (errno != 0) {
    fail(options->command[0]);
  }
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

// Reads until end of file or the deadline; sets *first when the byte is seen. Returns 0 at the
// deadline.
static int drain(int fd, int byte, long long deadline, long long* first) {
  static char buffer[65536];
  for (;;) {
    const long long left = deadline - now_ns();
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    if (left <= 0 || poll(&poll_fd, 1, (int)(left / 1000000 + 1)) == 0) {
      return 0;
    }
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) {
      return 1;
    }
    if (*first < 0 && memchr(buffer, byte, (size_t)got) != NULL) {
      *first = now_ns();
    }
  }
}

int main(int argc, char** argv) {
  const struct Options options = parse(argc, argv);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    fail("pipe");
  }
  const int input = options.keep_stdin ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);
  long long first = -1;
  const long long start = now_ns();
  const pid_t child = spawn(&options, ends[1], input);
  close(ends[1]);
  const int ended =
      drain(ends[0], options.byte, start + options.timeout_seconds * 1000000000LL, &first);
  if (!ended) {
    kill(child, SIGKILL);
  }
  int status = 0;
  struct rusage usage;
  if (wait4(child, &status, 0, &usage) < 0) {
    fail("wait4");
  }
  const long long end = now_ns();
  const int code = !ended                ? 124
                   : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                         : WEXITSTATUS(status);
  printf("first=%lld exit=%lld user=%lld system=%lld status=%d\n", first < 0 ? -1 : first - start,
         end - start, timeval_ns(usage.ru_utime), timeval_ns(usage.ru_stime), code);
  return 0;
}
