#include "command.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "leave.h"
#include "mounts.h"

extern char** environ;

// In the command's process: the parent hands the status on.
[[noreturn, gnu::format(printf, 1, 2)]] static void give_up(const char* format, ...) {
  char message[256];
  va_list values;
  va_start(values, format);
  vsnprintf(message, sizeof message, format, values);
  va_end(values);
  say("%s", message);
  _exit(kStatusInitFailed);
}

static void set_default(const char* name, const char* value) {
  if (setenv(name, value, 0) != 0) give_up("cannot set %s: %s", name, strerror(errno));
}

// The home directory that the guest's own user list names.
static const char* home_of(uid_t uid) {
  const struct passwd* user = getpwuid(uid);
  if (user != nullptr && user->pw_dir[0] == '/') return user->pw_dir;
  return uid == 0 ? "/root" : "/";
}

// What docker sets where nobody says otherwise; what the kernel left in init's environment is
// dropped.
static void set_environment(const struct Config* config) {
  clearenv();
  for (const char** entry = config->env; *entry != nullptr; ++entry) {
    if (putenv((char*)*entry) != 0) give_up("cannot set %s: %s", *entry, strerror(errno));
  }
  char host[kMaxHostName + 1] = "";
  gethostname(host, sizeof host - 1);
  set_default("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  set_default("HOSTNAME", host);
  set_default("HOME", home_of(config->has_user ? config->uid : 0));
  if (config->tty) set_default("TERM", config->term != nullptr ? config->term : "xterm");
}

// Made where it is missing, as docker does: the root is writable and thrown away.
static void enter_workdir(const struct Config* config) {
  const char* path = config->workdir != nullptr ? config->workdir : "/";
  if (make_directories(path) != 0 || chdir(path) != 0) {
    give_up("cannot enter the working directory %s: %s", path, strerror(errno));
  }
}

static void become_user(const struct Config* config) {
  if (!config->has_user) return;
  if (setgroups(0, nullptr) != 0 || setgid(config->gid) != 0 || setuid(config->uid) != 0) {
    give_up("cannot become user %u, group %u: %s", config->uid, config->gid, strerror(errno));
  }
}

static void reset_process(void) {
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const struct rlimit files = {.rlim_cur = 1024, .rlim_max = 524288};
  setrlimit(RLIMIT_NOFILE, &files);
}

[[noreturn]] static void execute(const struct Config* config) {
  execvp(config->args[0], (char**)config->args);
  const bool missing = errno == ENOENT || errno == ENOTDIR;
  dprintf(STDERR_FILENO, "mote-init: %s: %s\n", config->args[0], strerror(errno));
  _exit(missing ? kStatusNotFound : kStatusNotExecutable);
}

pid_t command_start(const struct Config* config, const struct Streams* streams) {
  const pid_t child = fork();
  if (child < 0) die("cannot make a process for the command: %s", strerror(errno));
  if (child > 0) return child;
  setsid();
  set_environment(config);
  enter_workdir(config);
  reset_process();
  become_user(config);
  // Last, as messages went to the console until here.
  if (streams_adopt(streams) != 0)
    give_up("cannot set up the command's streams: %s", strerror(errno));
  execute(config);
}

int command_status(int wait_status) {
  return WIFSIGNALED(wait_status) ? kStatusSignalBase + WTERMSIG(wait_status)
                                  : WEXITSTATUS(wait_status);
}
