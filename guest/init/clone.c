#include "clone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "leave.h"

// The page of mote's VMClock (struct vmclock_abi of Linux 6.13) in every machine of x86-64. Linux
// has a driver for it from 6.13 on; its first MiB /dev/mem shows to root whatever the driver does.
enum { kVmClock = 0xff000, kPage = 0x1000, kMagic = 0x4b4c4356, kGenerationOffset = 104 };
enum { kLookMs = 50, kSecondNs = 1000000000 };

static const volatile unsigned char* map_vmclock(void) {
  const int memory = open("/dev/mem", O_RDONLY | O_CLOEXEC);
  if (memory < 0) {
    say("cannot open /dev/mem: %s", strerror(errno));
    return nullptr;
  }
  const void* page = mmap(nullptr, kPage, PROT_READ, MAP_SHARED, memory, kVmClock);
  close(memory);
  if (page == MAP_FAILED) {
    say("cannot map the VMClock: %s", strerror(errno));
    return nullptr;
  }
  if (*(const volatile uint32_t*)page != kMagic) {
    say("this machine has no VMClock where mote's have it");
    return nullptr;
  }
  return page;
}

static uint64_t generation(const volatile unsigned char* page) {
  return *(const volatile uint64_t*)(page + kGenerationOffset);
}

static void pause_ms(long ms) {
  const struct timespec time = {.tv_sec = 0, .tv_nsec = ms * 1000000};
  nanosleep(&time, nullptr);
}

// The host's time, asked of KVM: exact. False: this host does not tell it.
static bool host_time_of_kvm(struct timespec* now) {
  const int clock = open("/dev/ptp0", O_RDONLY | O_CLOEXEC);
  if (clock < 0) return false;
  // The clock of a descriptor, as clock_gettime(2) has it.
  const bool told = clock_gettime((clockid_t)((~(unsigned)clock << 3) | 3), now) == 0;
  close(clock);
  return told;
}

// The seconds since 1970 of the chip that has seconds alone; 0: there is none.
static time_t rtc_seconds(void) {
  char text[24] = "";
  const int clock = open("/sys/class/rtc/rtc0/since_epoch", O_RDONLY | O_CLOEXEC);
  if (clock < 0) return 0;
  const ssize_t count = read(clock, text, sizeof text - 1);
  close(clock);
  return count > 0 ? (time_t)strtoll(text, nullptr, 10) : 0;
}

// Looked at until a second begins, which takes one at most.
static bool host_time_of_rtc(struct timespec* now) {
  const time_t first = rtc_seconds();
  time_t seconds = first;
  for (int looks = 0; seconds == first && looks < 1000; ++looks) {
    pause_ms(2);
    seconds = rtc_seconds();
  }
  *now = (struct timespec){.tv_sec = seconds, .tv_nsec = 0};
  return first != 0 && seconds != first;
}

static int64_t ns_of(const struct timespec* time) {
  return time->tv_sec * (int64_t)kSecondNs + time->tv_nsec;
}

// How far the clock is behind the host's, in ns: as the quickest of some looks has it, since
// whoever is interrupted between two looks at clocks finds a difference that is none.
static bool ask_distance(bool (*host_time)(struct timespec*), int looks, int64_t* distance) {
  int64_t quickest = INT64_MAX;
  for (int i = 0; i < looks; ++i) {
    struct timespec before;
    struct timespec host;
    struct timespec after;
    clock_gettime(CLOCK_REALTIME, &before);
    if (!host_time(&host)) return false;
    clock_gettime(CLOCK_REALTIME, &after);
    // The chip's answer is of the moment of its return.
    const int64_t began = looks > 1 ? ns_of(&before) : ns_of(&after);
    const int64_t took = ns_of(&after) - began;
    if (took >= quickest) continue;
    quickest = took;
    *distance = ns_of(&host) - began - took / 2;
  }
  return true;
}

static bool is_behind(int64_t* distance) {
  return ask_distance(host_time_of_kvm, 8, distance) || ask_distance(host_time_of_rtc, 1, distance);
}

static void set_clock(void) {
  int64_t distance = 0;
  if (!is_behind(&distance)) {
    say("nothing here tells the host's time: the clock stays");
    return;
  }
  // In one call: nothing can come between a look at the clock and its change.
  struct timex change = {.modes = ADJ_SETOFFSET | ADJ_NANO};
  change.time.tv_sec = distance / kSecondNs - (distance % kSecondNs < 0);
  change.time.tv_usec = distance - change.time.tv_sec * (int64_t)kSecondNs;  // ns, by ADJ_NANO
  if (adjtimex(&change) < 0) {
    say("cannot set the clock: %s", strerror(errno));
    return;
  }
  say("the clock was %lld ms behind", (long long)(distance / 1000000));
  if (ask_distance(host_time_of_kvm, 8, &distance)) {
    say("it is %lld us off now", (long long)(distance / 1000));
  }
}

static void run(char** command, uint64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  setenv("MOTE_GENERATION", text, 1);
  const pid_t child = fork();
  if (child == 0) {
    execvp(command[0], command);
    say("cannot run %s: %s", command[0], strerror(errno));
    _exit(127);
  }
  if (child < 0) {
    say("cannot run %s: %s", command[0], strerror(errno));
    return;
  }
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

int watch_clones(char** command) {
  const volatile unsigned char* page = map_vmclock();
  if (page == nullptr) return 1;
  uint64_t known = generation(page);
  while (true) {
    pause_ms(kLookMs);
    const uint64_t now = generation(page);
    if (now == known) continue;
    known = now;
    set_clock();
    if (command[0] != nullptr) run(command, now);
  }
}
