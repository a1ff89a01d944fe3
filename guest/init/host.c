#include "host.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "leave.h"

static void raise_loopback(void) {
  const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (control < 0) return;  // a kernel without IPv4
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  if (ioctl(control, SIOCSIFFLAGS, &request) != 0) say("cannot raise lo: %s", strerror(errno));
  close(control);
}

// The clock that the kernel found is the better one, unless it is behind the launch: then there was
// none.
static void set_clock(uint64_t launched_ns) {
  const struct timespec launched = {.tv_sec = (time_t)(launched_ns / 1000000000),
                                    .tv_nsec = (long)(launched_ns % 1000000000)};
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const bool behind = now.tv_sec < launched.tv_sec ||
                      (now.tv_sec == launched.tv_sec && now.tv_nsec < launched.tv_nsec);
  if (behind && clock_settime(CLOCK_REALTIME, &launched) != 0) {
    say("cannot set the clock: %s", strerror(errno));
  }
}

void set_up_host(const struct Config* config) {
  const char* name = config->hostname != nullptr ? config->hostname : "mote";
  if (sethostname(name, strlen(name)) != 0) say("cannot set the host name: %s", strerror(errno));
  if (config->time_ns != 0) set_clock(config->time_ns);
  raise_loopback();
  reboot(RB_DISABLE_CAD);  // ctrl-alt-del comes as a signal
}
