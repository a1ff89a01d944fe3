// The guest's end of the vsock tests, as the first process: services on ports of its own, and
// connections to the host's on request. Each connection is a child.
//
//   port 5000   echo, until the end of the input
//   port 5001   reads slowly to the end of the input, then answers with the Adler-32 of all of it
//   port 5002   a line "COUNT PORT BYTES": COUNT connections to PORT of the host at once, each
//   sends
//               BYTES of a pattern, ends its direction and reads the Adler-32 of them as a line;
//               answers with how many were right
//   port 5003   answers with how many children of the other services there are
//   port 5004   writes without end, until it fails; answers port 5003 with its last error
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

enum { kServices = 5, kFirstPort = 5000, kSlowPause = 3000 };

static char buffer[65536];

struct adler {
  uint32_t a, b;
};

static void add(struct adler* sum, const char* data, size_t length) {
  for (size_t i = 0; i < length; ++i) {
    sum->a = (sum->a + (unsigned char)data[i]) % 65521;
    sum->b = (sum->b + sum->a) % 65521;
  }
}

static uint32_t value(const struct adler* sum) { return sum->b << 16 | sum->a; }

static struct sockaddr_vm address(unsigned cid, unsigned port) {
  struct sockaddr_vm made = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
  return made;
}

static int write_all(int fd, const char* data, size_t length) {
  while (length > 0) {
    ssize_t done = send(fd, data, length, MSG_NOSIGNAL);
    if (done < 0) return -1;
    data += done;
    length -= (size_t)done;
  }
  return 0;
}

static void answer(int fd, unsigned long number) {
  char line[32];
  int length = snprintf(line, sizeof line, "%lu\n", number);
  write_all(fd, line, (size_t)length);
}

static void read_line(int fd, char* line, size_t size) {
  size_t at = 0;
  while (at + 1 < size && read(fd, line + at, 1) == 1 && line[at] != '\n') ++at;
  line[at] = 0;
}

static void echo(int fd) {
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) {
    if (write_all(fd, buffer, (size_t)got) < 0) return;
  }
}

static void read_slowly(int fd) {
  struct adler sum = {1, 0};
  ssize_t got;
  while ((got = read(fd, buffer, 20000)) > 0) {
    add(&sum, buffer, (size_t)got);
    usleep(kSlowPause);
  }
  answer(fd, value(&sum));
}

// One connection to the host: 0 when the host got what was sent.
static int call_host(unsigned port, unsigned long bytes, unsigned seed) {
  int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  struct sockaddr_vm host = address(VMADDR_CID_HOST, port);
  if (fd < 0 || connect(fd, (struct sockaddr*)&host, sizeof host) < 0) return 1;
  struct adler sum = {1, 0};
  while (bytes > 0) {
    size_t length = bytes < sizeof buffer ? bytes : sizeof buffer;
    for (size_t i = 0; i < length; ++i)
      buffer[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
    add(&sum, buffer, length);
    if (write_all(fd, buffer, length) < 0) return 1;
    bytes -= length;
  }
  shutdown(fd, SHUT_WR);
  char line[32];
  read_line(fd, line, sizeof line);
  return strtoul(line, NULL, 10) == value(&sum) ? 0 : 1;
}

static void call_on_request(int fd) {
  char line[64];
  read_line(fd, line, sizeof line);
  unsigned count = 0;
  unsigned port = 0;
  unsigned long bytes = 0;
  if (sscanf(line, "%u %u %lu", &count, &port, &bytes) != 3) return;
  for (unsigned i = 0; i < count; ++i) {
    if (fork() == 0) _exit(call_host(port, bytes, i));
  }
  unsigned long right = 0;
  int status;
  while (wait(&status) > 0) right += WIFEXITED(status) && WEXITSTATUS(status) == 0;
  answer(fd, right);
}

static void write_without_end(int fd) {
  memset(buffer, 'w', sizeof buffer);
  while (write_all(fd, buffer, sizeof buffer) == 0) {
  }
  printf("writer_error=%s\n", errno == EPIPE        ? "EPIPE"
                              : errno == ECONNRESET ? "ECONNRESET"
                                                    : strerror(errno));
  fflush(stdout);
}

static unsigned long children;

static void serve(int service, int fd) {
  if (service == 3) {
    while (waitpid(-1, NULL, WNOHANG) > 0) --children;
    answer(fd, children);
    close(fd);
    return;
  }
  ++children;
  pid_t child = fork();
  if (child == 0) {
    void (*const services[kServices])(int) = {echo, read_slowly, call_on_request, NULL,
                                              write_without_end};
    services[service](fd);
    _exit(0);
  }
  close(fd);
}

int main(void) {
  mount("dev", "/dev", "devtmpfs", 0, "");
  FILE* console = freopen("/dev/console", "w", stdout);
  (void)console;
  fd_set all;
  FD_ZERO(&all);
  int listeners[kServices];
  int last = 0;
  for (int i = 0; i < kServices; ++i) {
    struct sockaddr_vm here = address(VMADDR_CID_ANY, kFirstPort + (unsigned)i);
    listeners[i] = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (bind(listeners[i], (struct sockaddr*)&here, sizeof here) < 0 ||
        listen(listeners[i], 256) < 0) {
      printf("failed=%s\n", strerror(errno));
      return 1;
    }
    FD_SET(listeners[i], &all);
    last = listeners[i];
  }
  printf("listening=yes\n");
  fflush(stdout);
  while (1) {
    fd_set ready = all;
    if (select(last + 1, &ready, NULL, NULL, NULL) < 0) continue;
    for (int i = 0; i < kServices; ++i) {
      if (!FD_ISSET(listeners[i], &ready)) continue;
      int fd = accept(listeners[i], NULL, NULL);
      if (fd >= 0) serve(i, fd);
    }
  }
}
