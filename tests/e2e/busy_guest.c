// A guest at work, for the tests of snapshots: each part of it checks all the time that what it has
// written, sent and kept is what it gets back, and counts. A line on its input is a request:
//
//   t   answers with a line `told: NAME=VALUE ... .`
//   r   reboots, which ends the machine
//
// A child each writes a file of a disk and of persistent memory and reads it back, keeps memory,
// holds a TCP connection to HOST:7000 and one of vsock to port 53 of the host, both of which
// echo, reads random numbers of the host, and sleeps for some milliseconds.
#define _GNU_SOURCE  // O_DIRECT
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HOST "10.96.0.1"

enum { kDisk, kPmem, kMemory, kNet, kVsock, kEntropy, kTimer, kParts };
static const char* const names[kParts] = {"disk",  "pmem",    "memory", "net",
                                          "vsock", "entropy", "timer"};

// What the children have to tell. `wrong` is what must never be; `breaks` are connections that
// ended.
struct counts {
  volatile uint64_t rounds, wrong, breaks;
};
static struct counts* counts;

enum { kBlock = 16384, kBlocks = 64, kMessage = 4096 };
static _Alignas(4096) char buffer[kBlock];

static void fill(void* into, size_t size, uint64_t seed) {
  uint64_t* words = into;
  for (size_t i = 0; i < size / 8; ++i) words[i] = seed * 0x9e3779b97f4a7c15u + i;
}

static int holds(const void* at, size_t size, uint64_t seed) {
  const uint64_t* words = at;
  for (size_t i = 0; i < size / 8; ++i) {
    if (words[i] != seed * 0x9e3779b97f4a7c15u + i) return 0;
  }
  return 1;
}

static void wrong(int part, const char* what) {
  ++counts[part].wrong;
  printf("wrong: %s: %s: %s\n", names[part], what, strerror(errno));
  fflush(stdout);
}

static void done(int part, unsigned pause_us) {
  ++counts[part].rounds;
  usleep(pause_us);
}

// Block after block, past the page cache; what an earlier round wrote is read back.
static void work_on_disk(int part) {
  static uint64_t seeds[kBlocks];
  const int fd = open("/disk/file", O_RDWR | O_CREAT | O_DIRECT, 0644);
  for (uint64_t round = 1;; ++round) {
    const unsigned at = round % kBlocks;
    fill(buffer, kBlock, seeds[at] = round);
    if (pwrite(fd, buffer, kBlock, (off_t)at * kBlock) != kBlock) wrong(part, "write");
    if (round % 8 == 0 && fsync(fd) < 0) wrong(part, "flush");
    const unsigned back = (unsigned)random() % kBlocks;
    if (seeds[back] != 0) {
      if (pread(fd, buffer, kBlock, (off_t)back * kBlock) != kBlock) wrong(part, "read");
      if (!holds(buffer, kBlock, seeds[back])) wrong(part, "content");
    }
    done(part, 5000);
  }
}

static void work_on_mapping(int part, char* mapping, int flush) {
  for (uint64_t round = 0;; ++round) {
    char* const block = mapping + round % kBlocks * kBlock;
    if (round >= kBlocks && !holds(block, kBlock, round - kBlocks + 1)) wrong(part, "content");
    fill(block, kBlock, round + 1);
    if (flush && round % 8 == 0 && msync(mapping, kBlocks * kBlock, MS_SYNC) < 0) {
      wrong(part, "flush");
    }
    done(part, 5000);
  }
}

static void work_on_pmem(int part) {
  const int fd = open("/pmem/file", O_RDWR | O_CREAT, 0644);
  if (ftruncate(fd, kBlocks * kBlock) < 0) wrong(part, "size");
  work_on_mapping(part, mmap(NULL, kBlocks * kBlock, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), 1);
}

static void work_on_memory(int part) { work_on_mapping(part, malloc(kBlocks * kBlock), 0); }

// Sends blocks and gets them back, until the connection ends.
static void talk(int part, int fd) {
  for (uint64_t round = 1;; ++round) {
    fill(buffer, kMessage, round);
    for (size_t sent = 0; sent < kMessage;) {
      const ssize_t now = send(fd, buffer + sent, kMessage - sent, MSG_NOSIGNAL);
      if (now <= 0) return;
      sent += (size_t)now;
    }
    memset(buffer, 0, kMessage);
    for (size_t got = 0; got < kMessage;) {
      const ssize_t now = recv(fd, buffer + got, kMessage - got, 0);
      if (now <= 0) return;
      got += (size_t)now;
    }
    if (!holds(buffer, kMessage, round)) wrong(part, "content");
    done(part, 10000);
  }
}

static void keep_talking(int part, int family, const void* address, socklen_t size) {
  for (;; usleep(100000)) {
    const int fd = socket(family, SOCK_STREAM, 0);
    if (connect(fd, address, size) == 0) {
      talk(part, fd);
      ++counts[part].breaks;
    }
    close(fd);
  }
}

static void work_on_net(int part) {
  struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(7000)};
  inet_pton(AF_INET, HOST, &host.sin_addr);
  keep_talking(part, AF_INET, &host, sizeof host);
}

static void work_on_vsock(int part) {
  const struct sockaddr_vm host = {
      .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 53};
  keep_talking(part, AF_VSOCK, &host, sizeof host);
}

static void work_on_entropy(int part) {
  static char last[32];
  const int fd = open("/dev/hwrng", O_RDONLY);
  for (;;) {
    if (read(fd, buffer, sizeof last) != sizeof last) wrong(part, "read");
    if (memcmp(buffer, last, sizeof last) == 0) wrong(part, "the same twice");
    memcpy(last, buffer, sizeof last);
    done(part, 100000);
  }
}

static void work_on_timer(int part) {
  struct timespec before = {0}, now;
  for (;;) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec < before.tv_sec ||
        (now.tv_sec == before.tv_sec && now.tv_nsec < before.tv_nsec)) {
      wrong(part, "time went back");
    }
    before = now;
    done(part, 10000);
  }
}

// Reads what the kernel has said since. Whatever is a warning or worse is printed.
static void read_kernel_log(int fd, unsigned* complaints, unsigned* reseeds) {
  static char record[8192];
  ssize_t size;
  while ((size = read(fd, record, sizeof record - 1)) > 0 || errno == EPIPE) {
    if (size <= 0) continue;
    record[size] = 0;
    if (strstr(record, "reseeded due to virtual machine fork")) ++*reseeds;
    if ((atoi(record) & 7) > 4) continue;
    // True, where the machine stood still and time has jumped since.
    if (strstr(record, "Long readout interval") || strstr(record, "hrtimer: interrupt took"))
      continue;
    ++*complaints;
    printf("complaint: %s", record);
  }
}

static void tell(int log) {
  static unsigned complaints, reseeds, told;
  uint64_t number = 0;
  struct timeval now;
  read_kernel_log(log, &complaints, &reseeds);
  if (getrandom(&number, sizeof number, 0) != sizeof number) ++complaints;
  gettimeofday(&now, NULL);
  printf("told: told=%u complaints=%u reseeds=%u random=%llx time=%lld.%06ld", ++told, complaints,
         reseeds, (unsigned long long)number, (long long)now.tv_sec, (long)now.tv_usec);
  for (int part = 0; part < kParts; ++part) {
    printf(" %s=%llu,%llu,%llu", names[part], (unsigned long long)counts[part].rounds,
           (unsigned long long)counts[part].wrong, (unsigned long long)counts[part].breaks);
  }
  printf(" .\n");
  fflush(stdout);
}

// In order, as the kernel takes devices down whether they are in use or not.
static void end(void) {
  kill(-1, SIGKILL);
  while (wait(NULL) > 0) {
  }
  umount("/disk");
  umount("/pmem");
  reboot(LINUX_REBOOT_CMD_RESTART);
}

int main(void) {
  static void (*const work[kParts])(int) = {work_on_disk, work_on_pmem,  work_on_memory,
                                            work_on_net,  work_on_vsock, work_on_entropy,
                                            work_on_timer};
  const int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  lseek(log, 0, SEEK_END);
  counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int part = 0; part < kParts; ++part) {
    if (fork() == 0) work[part](part);
  }
  printf("busy\n");
  fflush(stdout);
  for (int command; (command = getchar()) != EOF;) {
    if (command == 't') tell(log);
    if (command == 'r') end();
  }
  return 1;
}
