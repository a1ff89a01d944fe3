// mote-init is the first process of a guest that `mote run` starts: it makes the machine a place to
// run a command in, runs it, and hands its output and status to the host.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clone.h"
#include "config.h"
#include "host.h"
#include "leave.h"
#include "mounts.h"
#include "session.h"

#define CONFIG_FILE "/mote/config"

enum { kMaxConfig = 4 << 20 };  // the kernel takes no longer command and environment

static char* read_config(size_t* size) {
  const int file = open(CONFIG_FILE, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0)
    die("cannot open " CONFIG_FILE ": %s", strerror(errno));
  if (status.st_size > kMaxConfig) {
    die(CONFIG_FILE ": %lld bytes; at most %d are read", (long long)status.st_size, kMaxConfig);
  }
  *size = (size_t)status.st_size;
  char* text = malloc(*size + 1);
  if (text == nullptr) die(CONFIG_FILE ": no memory for its %zu bytes", *size);
  for (size_t have = 0; have < *size;) {
    const ssize_t count = read(file, text + have, *size - have);
    if (count <= 0)
      die("cannot read " CONFIG_FILE ": %s", count < 0 ? strerror(errno) : "it is cut short");
    have += (size_t)count;
  }
  close(file);
  unlink(CONFIG_FILE);  // the command's environment is not for everybody
  return text;
}

int main(int argc, char** argv) {
  if (getpid() != 1) {
    if (argc > 1 && strcmp(argv[1], "watch-clones") == 0) return watch_clones(argv + 2);
    say("this is the first process of a guest, which `mote run` starts; in others, "
        "`mote-init watch-clones [COMMAND [ARG...]]` sets the clock of a clone and runs COMMAND");
    return 2;
  }
  mount_early();
  size_t size = 0;
  const char* text = read_config(&size);
  struct Config config;
  char error[kConfigErrorSize];
  if (!config_parse(text, size, &config, error)) die(CONFIG_FILE ": %s", error);
  enter_root(&config);
  mount_late();
  set_up_host(&config);
  leave(session_run(&config));
}
