// Round trips between a guest and its host, timed in the guest: one byte over vsock to a program of
// the host's that sends it back, and a ping over the network to the host's kernel.
//
//   init                     as the guest's first process; its arguments are on the kernel's
//   command
//                            line: ROUNDS=N, of BATCH trips of each kind in turns
//   roundtrip echo PATH      the host's program: a Unix socket at PATH that sends back what comes
//
// Prints a line `NAME MEDIAN LEAST P90 NUMBER` a kind, in nanoseconds, and restarts the machine.
#include <sys/mount.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "trips.h"

enum { kPort = 7, kBatch = 100, kMostRounds = 1000 };

// The host's side
// -------------------------------------------------------------------------------------------------

static int echo(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) < 0 || listen(listener, 8) < 0)
    die("listen");
  int fd;
  while ((fd = accept(listener, NULL, NULL)) >= 0) {
    char bytes[64];
    ssize_t got;
    while ((got = read(fd, bytes, sizeof bytes)) > 0) {
      if (write(fd, bytes, (size_t)got) != got) break;
    }
    close(fd);
  }
  return 1;
}

// The guest's side
// -------------------------------------------------------------------------------------------------

static int64_t trip_over_vsock(int fd) {
  char byte = 'x';
  const int64_t start = now();
  if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) die("vsock");
  return now() - start;
}

static int open_vsock(void) {
  struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = kPort};
  int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr*)&host, sizeof host) < 0) die("connect over vsock");
  return fd;
}

static int guest(void) {
  const char* wanted = getenv("ROUNDS");
  size_t rounds = wanted ? strtoul(wanted, NULL, 10) : 10;
  if (rounds > kMostRounds) rounds = kMostRounds;
  mount("dev", "/dev", "devtmpfs", 0, "");
  if (!freopen("/dev/console", "w", stdout)) return 1;
  int64_t* vsock = calloc(rounds * kBatch, sizeof *vsock);
  int64_t* network = calloc(rounds * kBatch, sizeof *network);
  const int stream = open_vsock();
  const int pings = open_network();
  uint16_t number = 0;
  for (int i = 0; i < kBatch; ++i) {  // warms the caches of both
    trip_over_vsock(stream);
    trip_over_network(pings, ++number);
  }
  for (size_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kBatch; ++i) vsock[round * kBatch + (size_t)i] = trip_over_vsock(stream);
    for (int i = 0; i < kBatch; ++i)
      network[round * kBatch + (size_t)i] = trip_over_network(pings, ++number);
  }
  print_summary("vsock", vsock, rounds * kBatch);
  print_summary("ping", network, rounds * kBatch);
  fflush(stdout);
  sleep(1);
  reboot(RB_AUTOBOOT);
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "echo") == 0) return echo(argv[2]);
  return guest();
}
