// The first process of the guests of bench/neighbours. With `neighbour=quiet` on the command line
// it measures, whenever a line comes in on the console, how late a timer of 5 ms is and how long a
// read of 4 KiB from /dev/vda takes, and prints the 99th percentile of both in microseconds. With
// `neighbour=hostile` it floods everything that it has, for ever: the disk, the network (eth0
// is 10.98.0.2, and sends to 10.98.0.1), vsock, the serial port, its processors, interrupts (of the
// PIT, and of a timer of its own) and the monitor's log, by lies about a ring of its entropy
// device.

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { kSamples = 300, kBlock = 4096, kLarge = 256 << 10, kDiskBytes = 64 << 20, kSpinners = 2 };

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int by_size(const void* a, const void* b) {
  const long long left = *(const long long*)a;
  const long long right = *(const long long*)b;
  return (left > right) - (left < right);
}

static long long p99_us(long long* samples) {
  qsort(samples, kSamples, sizeof samples[0], by_size);
  return samples[kSamples * 99 / 100] / 1000;
}

static void measure(int disk, char* block) {
  static long long timer[kSamples];
  static long long reads[kSamples];
  for (int i = 0; i < kSamples; ++i) {
    const long long due = now_ns() + 5000000;
    const struct timespec until = {due / 1000000000, due % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0);
    timer[i] = now_ns() - due;
    const long long began = now_ns();
    if (pread(disk, block, kBlock, (off_t)(rand() % (kDiskBytes / kBlock)) * kBlock) != kBlock) {
      printf("neighbour: failed: a read\n");
    }
    reads[i] = now_ns() - began;
  }
  printf("neighbour: timer=%lld disk=%lld\n", p99_us(timer), p99_us(reads));
}

static void flood_disk(int disk, char* block) {
  for (unsigned i = 0;; ++i) {
    const off_t offset = (off_t)(rand() % (kDiskBytes / kLarge)) * kLarge;
    if ((i & 1) != 0) {
      (void)!pwrite(disk, block, kLarge, offset);
    } else {
      (void)!pread(disk, block, kLarge, offset);
    }
  }
}

static void set_up_network(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq request = {.ifr_name = "eth0"};
  struct sockaddr_in* address = (struct sockaddr_in*)&request.ifr_addr;
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = inet_addr("10.98.0.2");
  ioctl(fd, SIOCSIFADDR, &request);
  request.ifr_flags = IFF_UP;
  ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
}

static void flood_network(void) {
  static char datagram[1400];
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = inet_addr("10.98.0.1")};
  for (;;) {
    (void)!sendto(fd, datagram, sizeof datagram, 0, (const struct sockaddr*)&to, sizeof to);
  }
}

static void flood_vsock(void) {
  const struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_port = 9, .svm_cid = VMADDR_CID_HOST};
  for (;;) {
    const int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    (void)!connect(fd, (const struct sockaddr*)&to, sizeof to);
    close(fd);
  }
}

static void flood_serial(char* block) {
  memset(block, 'x', kBlock);
  for (;;) (void)!write(1, block, kBlock);
}

// Of virtio-mmio (virtio 1.3, 4.2.2), in words.
enum {
  kDriverFeatures = 0x20 / 4,
  kDriverFeaturesSelect = 0x24 / 4,
  kQueueSelect = 0x30 / 4,
  kQueueSize = 0x38 / 4,
  kQueueReady = 0x44 / 4,
  kStatus = 0x70 / 4,
  kQueueDescriptors = 0x80 / 4,
  kEntropyDevice = 4,
  kDevices = 16
};

static void read_file(const char* path, char* text, size_t size) {
  const int fd = open(path, O_RDONLY);
  const ssize_t got = fd < 0 ? 0 : read(fd, text, size - 1);
  text[got < 0 ? 0 : got] = 0;
  if (fd >= 0) close(fd);
}

// Where the registers of the entropy device are, which its driver is told to leave; 0: nowhere.
static unsigned long take_entropy_device(void) {
  static char iomem[64 << 10];
  read_file("/proc/iomem", iomem, sizeof iomem);
  for (int i = 0; i < kDevices; ++i) {
    char name[16];
    char path[64];
    char text[PATH_MAX];
    snprintf(name, sizeof name, "virtio%d", i);
    snprintf(path, sizeof path, "/sys/bus/virtio/devices/%s/device", name);
    read_file(path, text, sizeof text);
    if (strtoul(text, 0, 16) != kEntropyDevice) continue;
    const int unbind = open("/sys/bus/virtio/drivers/virtio_rng/unbind", O_WRONLY);
    (void)!write(unbind, name, strlen(name));
    // Its parent has the name that the list of addresses has.
    *strrchr(path, '/') = 0;
    if (realpath(path, text) == 0) return 0;
    *strrchr(text, '/') = 0;
    const char* const line = strstr(iomem, strrchr(text, '/') + 1);
    return line == 0 ? 0 : strtoul(line - strlen("c0001000-c0001fff : "), 0, 16);
  }
  return 0;
}

static void flood_log(void) {
  const unsigned long at = take_entropy_device();
  const int memory = open("/dev/mem", O_RDWR | O_SYNC);
  volatile unsigned* const registers =
      mmap(0, kBlock, PROT_READ | PROT_WRITE, MAP_SHARED, memory, (off_t)at);
  if (at == 0 || registers == MAP_FAILED) {
    printf("neighbour: failed: no registers of an entropy device\n");
    return;
  }
  for (;;) {
    registers[kStatus] = 0;
    registers[kStatus] = 3;
    registers[kDriverFeaturesSelect] = 1;
    registers[kDriverFeatures] = 1;  // VIRTIO_F_VERSION_1
    registers[kStatus] = 0xb;
    registers[kQueueSelect] = 0;
    registers[kQueueSize] = 2;
    registers[kQueueDescriptors] = 0xfffff000;
    registers[kQueueDescriptors + 1] = 0xffffffff;
    registers[kQueueReady] = 1;
    registers[kStatus] = 0xf;
  }
}

static void count(int number) { (void)number; }

static void flood_interrupts(void) {
  if (iopl(3) != 0) printf("neighbour: failed: iopl\n");
  outb(0x34, 0x43);  // channel 0, low and high byte, again and again
  outb(2, 0x40);
  outb(0, 0x40);
  signal(SIGALRM, count);
  const struct itimerval often = {{0, 1}, {0, 1}};
  setitimer(ITIMER_REAL, &often, 0);
  for (;;) {
    // Each time that the serial port is told to say when it is empty, it says so.
    outb(0, 0x3f9);
    outb(2, 0x3f9);
  }
}

static void be_hostile(int disk, char* block) {
  set_up_network();
  printf("neighbour: flooding\n");
  if (fork() == 0) flood_disk(disk, block);
  if (fork() == 0) flood_network();
  if (fork() == 0) flood_vsock();
  if (fork() == 0) flood_log();
  if (fork() == 0) flood_interrupts();
  for (int i = 0; i < kSpinners; ++i) {
    if (fork() == 0) {
      for (;;) getppid();
    }
  }
  flood_serial(block);
}

int main(void) {
  mkdir("/dev", 0755);
  mkdir("/proc", 0755);
  mount("devtmpfs", "/dev", "devtmpfs", 0, 0);
  mkdir("/sys", 0755);
  mount("proc", "/proc", "proc", 0, 0);
  mount("sysfs", "/sys", "sysfs", 0, 0);
  setvbuf(stdout, 0, _IOLBF, 0);
  char words[1024] = {0};
  const int cmdline = open("/proc/cmdline", O_RDONLY);
  (void)!read(cmdline, words, sizeof words - 1);
  const int disk = open("/dev/vda", O_RDWR | O_DIRECT);
  char* const block = aligned_alloc(kBlock, kLarge);
  if (disk < 0 || block == 0) printf("neighbour: failed: no disk\n");
  if (strstr(words, "neighbour=hostile") != 0) be_hostile(disk, block);
  printf("neighbour: ready\n");
  char line[16];
  while (fgets(line, sizeof line, stdin) != 0) measure(disk, block);
  pause();
}
