// GETs of the monitor's metadata service, timed in the guest beside pings to the host's kernel: on
// a connection that stays, and each on its own.
//
// The guest's first process; its arguments are on the kernel's command line: ROUNDS=N, of BATCH
// trips of each kind, one by one in turns, and TOKEN=1, to ask with a token (version 2 of the
// service).
//
// Prints a line `NAME MEDIAN LEAST P90 NUMBER` a kind, in nanoseconds, a line `rate N`, of the GETs
// a second on the connection that stays, and restarts the machine.
#include <netinet/tcp.h>
#include <sys/mount.h>

#include <net/route.h>

#include "trips.h"

enum { kBatch = 100, kMostRounds = 1000, kMostAnswer = 4096 };

static const char kService[] = "169.254.169.254";
static const char kPath[] = "/latest/meta-data/instance-id";
static char g_token_header[128];

static void route_to_service(void) {
  struct rtentry route = {.rt_flags = RTF_UP | RTF_HOST, .rt_dev = (char*)"eth0"};
  struct sockaddr_in* address = (struct sockaddr_in*)&route.rt_dst;
  address->sin_family = AF_INET;
  inet_pton(AF_INET, kService, &address->sin_addr);
  ((struct sockaddr_in*)&route.rt_genmask)->sin_family = AF_INET;
  ((struct sockaddr_in*)&route.rt_genmask)->sin_addr.s_addr = 0xffffffff;
  int any = socket(AF_INET, SOCK_DGRAM, 0);
  if (ioctl(any, SIOCADDRT, &route) < 0) die("add a route to the service");
  close(any);
}

static int connect_to_service(void) {
  struct sockaddr_in service = {.sin_family = AF_INET, .sin_port = htons(80)};
  inet_pton(AF_INET, kService, &service.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (connect(fd, (struct sockaddr*)&service, sizeof service) < 0) die("connect to the service");
  return fd;
}

// Sends a request and takes the whole of its answer, which is 200; where its body begins.
static char* ask(int fd, const char* request, char* answer) {
  const size_t length = strlen(request);
  if (write(fd, request, length) != (ssize_t)length) die("send a request");
  size_t have = 0;
  while (1) {
    const ssize_t got = read(fd, answer + have, kMostAnswer - 1 - have);
    if (got <= 0) die("read an answer");
    have += (size_t)got;
    answer[have] = 0;
    char* end = strstr(answer, "\r\n\r\n");
    const char* said = strstr(answer, "Content-Length: ");
    if (!end || !said) continue;
    const size_t body = strtoul(said + sizeof "Content-Length: " - 1, NULL, 10);
    if (have < (size_t)(end + 4 - answer) + body) continue;
    if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0) die(answer);
    return end + 4;
  }
}

static void get(int fd) {
  char request[256], answer[kMostAnswer];
  snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", kPath, kService,
           g_token_header);
  ask(fd, request, answer);
}

static void take_token(void) {
  char answer[kMostAnswer];
  int fd = connect_to_service();
  const char* token = ask(fd,
                          "PUT /latest/api/token HTTP/1.1\r\n"
                          "X-metadata-token-ttl-seconds: 21600\r\n\r\n",
                          answer);
  snprintf(g_token_header, sizeof g_token_header, "X-metadata-token: %.80s\r\n", token);
  close(fd);
}

static int64_t trip_that_stays(int fd) {
  const int64_t start = now();
  get(fd);
  return now() - start;
}

static int64_t trip_of_its_own(void) {
  const int64_t start = now();
  int fd = connect_to_service();
  get(fd);
  const int64_t time = now() - start;
  close(fd);
  return time;
}

int main(void) {
  const char* wanted = getenv("ROUNDS");
  size_t rounds = wanted ? strtoul(wanted, NULL, 10) : 10;
  if (rounds > kMostRounds) rounds = kMostRounds;
  mount("dev", "/dev", "devtmpfs", 0, "");
  if (!freopen("/dev/console", "w", stdout)) return 1;
  const size_t count = rounds * kBatch;
  int64_t* kept = calloc(count, sizeof *kept);
  int64_t* own = calloc(count, sizeof *own);
  int64_t* pings = calloc(count, sizeof *pings);
  const int ping = open_network();
  route_to_service();
  if (getenv("TOKEN")) take_token();
  const int fd = connect_to_service();
  uint16_t number = 0;
  int64_t busy = 0;
  // One of each at a time, so that what else the host does meets all kinds alike. The first ones
  // warm caches.
  for (size_t i = 0; i < count + kBatch; ++i) {
    const size_t at = i % count;
    pings[at] = trip_over_network(ping, ++number);
    kept[at] = trip_that_stays(fd);
    own[at] = trip_of_its_own();
  }
  for (size_t i = 0; i < count; ++i) busy += kept[i];
  print_summary("kept", kept, count);
  print_summary("own", own, count);
  print_summary("ping", pings, count);
  printf("rate %lld\n", (long long)((int64_t)count * INT64_C(1000000000) / busy));
  fflush(stdout);
  sleep(1);
  reboot(RB_AUTOBOOT);
  return 0;
}
