// api_timer: a client of a monitor's API socket that measures, with little noise of its own.
//
//   api_timer start SOCKET -- COMMAND [ARG...]
//   api_timer trips SOCKET COUNT METHOD PATH [BODY]
//   api_timer fleet DIRECTORY COUNT KERNEL PROGRAM
//   api_timer boot SOCKET KERNEL INITRD CMDLINE MIB -- COMMAND [ARG...]
//
// start: runs a command that serves SOCKET; one line, `wall=NS cpu=NS pss=KIB`: from just before
// posix_spawn until it has answered GET /, the CPU time that it has used by then, and its share of
// memory. trips: a line of nanoseconds for each of COUNT requests, one after the other on one
// connection. fleet: starts COUNT copies of PROGRAM, each with a socket of its own in DIRECTORY,
// configures and starts a microVM with KERNEL through each, and prints `wall=NS` for all of them.
// boot: runs a command that serves SOCKET and whose guest says that it runs by a byte 1 on standard
// output, and ends; one line, `start=NS first=NS exit=NS cpu=NS status=N`: from just before
// posix_spawn to InstanceStart, from InstanceStart to that byte (-1: it did not come) and to the
// process's end, its CPU time and status.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMostCopies = 1000, kBuffer = 65536, kSecondsToWait = 10 };

static long long now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "api_timer: %s: %s\n", what, strerror(errno));
  exit(1);
}

// `out`: its standard output; -1: nobody reads it.
static pid_t spawn(char** command, int out) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (out >= 0) {
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  } else {
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  }
  pid_t child = -1;
  errno = posix_spawnp(&child, command[0], &actions, NULL, command, environ);
  if (errno != 0) {
    fail(command[0]);
  }
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

// Connects as soon as somebody listens there.
static int connect_to(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  const int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const long long deadline = now_ns() + kSecondsToWait * 1000000000LL;
  while (connect(client, (const struct sockaddr*)&address, sizeof address) < 0) {
    if (now_ns() > deadline) {
      fail(path);
    }
    // A sleep, however short, would be longer than what is measured; yielding lets it run.
    nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
  }
  return client;
}

static void ask(int client, const char* method, const char* path, const char* body) {
  static char buffer[kBuffer];
  const int size =
      body == NULL
          ? snprintf(buffer, sizeof buffer, "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method,
                     path)
          : snprintf(buffer, sizeof buffer,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     method, path, strlen(body), body);
  if (write(client, buffer, (size_t)size) != size) {
    fail("send a request");
  }
  // Answers here are small enough to come at once.
  const ssize_t got = read(client, buffer, sizeof buffer - 1);
  buffer[got > 0 ? got : 0] = '\0';
  if (strncmp(buffer, "HTTP/1.1 20", 11) != 0) {
    fprintf(stderr, "api_timer: %s %s: %s\n", method, path, buffer);
    exit(1);
  }
}

static long pss_kib(pid_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", process);
  FILE* file = fopen(path, "r");
  char line[256];
  long found = -1;
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "Pss: %ld kB", &found) == 1) {
      break;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return found;
}

static int start(char** arguments, int count) {
  if (count < 3 || strcmp(arguments[1], "--") != 0) {
    return 2;
  }
  unlink(arguments[0]);
  const long long began = now_ns();
  const pid_t child = spawn(arguments + 2, -1);
  const int client = connect_to(arguments[0]);
  ask(client, "GET", "/", NULL);
  const long long wall = now_ns() - began;
  clockid_t clock;
  struct timespec cpu = {0};
  if (clock_getcpuclockid(child, &clock) != 0 || clock_gettime(clock, &cpu) < 0) {
    fail("read the CPU time");
  }
  const long pss = pss_kib(child);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  unlink(arguments[0]);
  printf("wall=%lld cpu=%lld pss=%ld\n", wall, cpu.tv_sec * 1000000000LL + cpu.tv_nsec, pss);
  return 0;
}

static int trips(char** arguments, int count) {
  if (count < 4) {
    return 2;
  }
  const int client = connect_to(arguments[0]);
  for (long left = strtol(arguments[1], NULL, 10); left > 0; --left) {
    const long long began = now_ns();
    ask(client, arguments[2], arguments[3], count > 4 ? arguments[4] : NULL);
    printf("%lld\n", now_ns() - began);
  }
  return 0;
}

static int fleet(char** arguments, int count) {
  static pid_t children[kMostCopies];
  if (count != 4) {
    return 2;
  }
  const long copies = strtol(arguments[1], NULL, 10);
  if (copies < 1 || copies > kMostCopies) {
    return 2;
  }
  char boot[4200];
  snprintf(boot, sizeof boot, "{\"kernel_image_path\":\"%s\"}", arguments[2]);
  const long long began = now_ns();
  for (long i = 0; i < copies; ++i) {
    char path[108];
    snprintf(path, sizeof path, "%s/%ld", arguments[0], i);
    char* command[] = {arguments[3], "--api-sock", path, NULL};
    children[i] = spawn(command, -1);
    const int client = connect_to(path);
    ask(client, "PUT", "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":128}");
    ask(client, "PUT", "/boot-source", boot);
    ask(client, "PUT", "/actions", "{\"action_type\":\"InstanceStart\"}");
    close(client);
  }
  printf("wall=%lld\n", now_ns() - began);
  for (long i = 0; i < copies; ++i) {
    kill(children[i], SIGKILL);
  }
  for (long i = 0; i < copies; ++i) {
    waitpid(children[i], NULL, 0);
  }
  return 0;
}

static long long time_ns(struct timeval time) {
  return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL;
}

// Reads to the end of `fd`; when the first byte 1 came, or -1.
static long long await_byte(int fd) {
  static char buffer[kBuffer];
  long long when = -1;
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) {
    if (when < 0 && memchr(buffer, 1, (size_t)got) != NULL) {
      when = now_ns();
    }
  }
  return when;
}

static int boot(char** arguments, int count) {
  if (count < 7 || strcmp(arguments[5], "--") != 0) {
    return 2;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    fail("make a pipe");
  }
  char machine[100];
  char source[8192];
  snprintf(machine, sizeof machine, "{\"vcpu_count\":1,\"mem_size_mib\":%s}", arguments[4]);
  snprintf(source, sizeof source,
           "{\"kernel_image_path\":\"%s\",\"initrd_path\":\"%s\",\"boot_args\":\"%s\"}",
           arguments[1], arguments[2], arguments[3]);
  unlink(arguments[0]);
  const long long began = now_ns();
  const pid_t child = spawn(arguments + 6, ends[1]);
  close(ends[1]);
  const int client = connect_to(arguments[0]);
  ask(client, "PUT", "/machine-config", machine);
  ask(client, "PUT", "/boot-source", source);
  const long long started = now_ns();
  ask(client, "PUT", "/actions", "{\"action_type\":\"InstanceStart\"}");
  const long long first = await_byte(ends[0]);
  int status = 0;
  struct rusage usage;
  wait4(child, &status, 0, &usage);
  printf("start=%lld first=%lld exit=%lld cpu=%lld status=%d\n", started - began,
         first < 0 ? -1 : first - started, now_ns() - started,
         time_ns(usage.ru_utime) + time_ns(usage.ru_stime),
         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  unlink(arguments[0]);
  return 0;
}

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  int result = 2;
  if (argc > 2 && strcmp(argv[1], "start") == 0) {
    result = start(argv + 2, argc - 2);
  } else if (argc > 2 && strcmp(argv[1], "trips") == 0) {
    result = trips(argv + 2, argc - 2);
  } else if (argc > 2 && strcmp(argv[1], "fleet") == 0) {
    result = fleet(argv + 2, argc - 2);
  } else if (argc > 2 && strcmp(argv[1], "boot") == 0) {
    result = boot(argv + 2, argc - 2);
  }
  if (result == 2) {
    fprintf(stderr, "usage: see bench/api_timer.c\n");
  }
  return result;
}
