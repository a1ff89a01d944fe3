// What the guests that time round trips share: the clock, the summary, and a ping over eth0 to the
// host's kernel.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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
