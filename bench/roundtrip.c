// Round trips between a guest and its host, timed in the guest: one byte over vsock to a program of
// the host's that sends it back, and a ping over the network to the host's kernel.
//
//   init                     as the guest's first process; its arguments are on the kernel's
//   command
//                            line: ROUNDS=N, of BATCH trips of each kind in turns
//   roundtrip echo PATH      the host's program: a Unix socket at PATH that sends back what comes
//
// Prints a line `NAME MEDIAN LEAST P90 NUMBER` a kind, in nanoseconds, and restarts the machine.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

enum { kPort = 7, kBatch = 100, kMostRounds = 1000 };

static const char kGuestAddress[] = "10.77.0.2";
static const char kHostAddress[] = "10.77.0.1";

static void die(const char* what) {
  printf("failed %s: %s\n", what, strerror(errno));
  fflush(stdout);
  if (getpid() == 1) reboot(RB_AUTOBOOT);
  exit(1);
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int compare(const void* a, const void* b) {
  int64_t x = *(const int64_t*)a, y = *(const int64_t*)b;
  return (x > y) - (x < y);
}

static void print_summary(const char* name, int64_t* samples, size_t count) {
  qsort(samples, count, sizeof *samples, compare);
  printf("%s %lld %lld %lld %zu\n", name, (long long)samples[count / 2], (long long)samples[0],
         (long long)samples[count * 9 / 10], count);
}

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

static uint16_t checksum(const void* data, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < length; i += 2) {
    uint16_t word;
    memcpy(&word, (const char*)data + i, sizeof word);
    sum += word;
  }
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~(sum + (sum >> 16));
}

static int64_t trip_over_network(int fd, uint16_t number) {
  struct {
    struct icmphdr head;
    char data[56];  // as ping(8) sends
  } packet = {.head = {.type = ICMP_ECHO, .un.echo = {.id = 77, .sequence = number}}};
  packet.head.checksum = checksum(&packet, sizeof packet);
  const int64_t start = now();
  if (send(fd, &packet, sizeof packet, 0) < 0) die("ping");
  char answer[256];
  while (1) {
    struct pollfd poll_for = {.fd = fd, .events = POLLIN};
    if (poll(&poll_for, 1, 20000) != 1) die("ping, no answer");
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    const struct icmphdr* head = (const struct icmphdr*)(answer + sizeof(struct iphdr));
    if (got >= (ssize_t)(sizeof(struct iphdr) + sizeof *head) && head->type == ICMP_ECHOREPLY &&
        head->un.echo.sequence == number) {
      return now() - start;
    }
  }
}

static int open_vsock(void) {
  struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = kPort};
  int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr*)&host, sizeof host) < 0) die("connect over vsock");
  return fd;
}

static int open_network(void) {
  int any = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq request = {.ifr_name = "eth0"};
  struct sockaddr_in* address = (struct sockaddr_in*)&request.ifr_addr;
  address->sin_family = AF_INET;
  inet_pton(AF_INET, kGuestAddress, &address->sin_addr);
  if (ioctl(any, SIOCSIFADDR, &request) < 0) die("set the address of eth0");
  inet_pton(AF_INET, "255.255.255.0", &address->sin_addr);
  if (ioctl(any, SIOCSIFNETMASK, &request) < 0) die("set the netmask of eth0");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(any, SIOCSIFFLAGS, &request) < 0) die("start eth0");
  close(any);
  struct sockaddr_in host = {.sin_family = AF_INET};
  inet_pton(AF_INET, kHostAddress, &host.sin_addr);
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  if (fd < 0 || connect(fd, (struct sockaddr*)&host, sizeof host) < 0)
    die("open a socket for pings");
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
