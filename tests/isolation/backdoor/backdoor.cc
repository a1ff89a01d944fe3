#include "tests/isolation/backdoor/backdoor.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <span>

namespace mote::backdoor {
namespace {

// The test's end of standard error, a socket that keeps messages apart, is where requests come from
// and answers go to. A request is a Header, its calls and its data; an answer is a word of eight
// bytes for each call that was made, its result as the kernel gives it, and the data as they are
// then.
constexpr int kDoor = STDERR_FILENO;

struct Header {
  std::uint32_t thread;  // 0: the machine's; else a ThreadKind and 1
  std::uint32_t calls;   // made one after another, until one fails
  std::uint64_t times;   // how often the last one is made, until it fails
};

struct Argument {
  std::uint64_t kind;  // 0: a value; 1: an address in the data; 2: what an earlier call returned
  std::uint64_t value;
};

struct Call {
  std::uint64_t number;  // of a system call, or one of these
  std::array<Argument, 6> arguments;
};
constexpr std::uint64_t kCopy = 1 << 20;     // memory: to, from, bytes
constexpr std::uint64_t kTouch = kCopy + 1;  // writes to each page: from, bytes
constexpr std::uint64_t kInt80 = kCopy + 2;  // a system call as programs of 32 bits make it

constexpr std::size_t kMaxCalls = 32;
constexpr std::size_t kPage = 4096;
constexpr int kMoments = 50'000;  // of 0.2 ms each

struct Request {
  Header header;
  std::array<Call, kMaxCalls> calls;
};

std::array<std::atomic<pid_t>, 4> threads;
std::atomic<bool> knocked = false;
std::atomic<bool> answered = false;
Request request;
alignas(kPage) std::array<std::byte, 16 * kPage> data;
std::array<std::int64_t, kMaxCalls> results;
std::size_t made = 0;

int knock_signal() { return SIGRTMIN + 3; }

bool makes_a_process(std::uint64_t number) {
  return number == SYS_clone || number == SYS_clone3 || number == SYS_fork || number == SYS_vfork;
}

// A process or thread that it makes ends at once, whoever's stack it has.
std::int64_t system_call(std::uint64_t number, const std::array<std::uint64_t, 6>& arguments) {
  std::uint64_t result = number;
  register std::uint64_t fourth asm("r10") = arguments[3];
  register std::uint64_t fifth asm("r8") = arguments[4];
  register std::uint64_t sixth asm("r9") = arguments[5];
  const std::uint64_t forks = makes_a_process(number) ? 1 : 0;
  asm volatile(
      "syscall\n"
      "test %%rax, %%rax\n"
      "jnz 1f\n"
      "test %[forks], %[forks]\n"
      "jz 1f\n"
      "mov $60, %%eax\n"
      "xor %%edi, %%edi\n"
      "syscall\n"
      "1:"
      : "+a"(result)
      : "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(fourth), "r"(fifth),
        "r"(sixth), [forks] "b"(forks)
      : "rcx", "r11", "memory", "cc");
  return static_cast<std::int64_t>(result);
}

std::int64_t call_of_32_bits(const std::array<std::uint64_t, 6>& arguments) {
  std::uint64_t result = arguments[0];
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(arguments[1]), "c"(arguments[2]), "d"(arguments[3])
               : "r8", "r9", "r10", "r11", "memory", "cc");
  return static_cast<std::int32_t>(result);
}

std::uint64_t value_of(const Argument& argument) {
  if (argument.kind == 1) return reinterpret_cast<std::uint64_t>(data.data()) + argument.value;
  return argument.kind == 2 ? static_cast<std::uint64_t>(results[argument.value % kMaxCalls])
                            : argument.value;
}

std::int64_t make(const Call& call) {
  std::array<std::uint64_t, 6> arguments;
  for (std::size_t i = 0; i < arguments.size(); ++i) arguments[i] = value_of(call.arguments[i]);
  if (call.number == kInt80) return call_of_32_bits(arguments);
  if (call.number == kCopy) {
    std::memcpy(reinterpret_cast<void*>(arguments[0]), reinterpret_cast<void*>(arguments[1]),
                arguments[2]);
    return 0;
  }
  if (call.number == kTouch) {
    for (std::uint64_t at = 0; at < arguments[1]; at += kPage)
      *reinterpret_cast<volatile char*>(arguments[0] + at) = 1;
    return 0;
  }
  return system_call(call.number, arguments);
}

// In the thread that was broken into, whatever it was about to do. It makes no call but those that
// are asked for.
void work(int) {
  const std::size_t count = std::min<std::size_t>(request.header.calls, kMaxCalls);
  for (made = 0; made < count;) {
    const Call& call = request.calls[made];
    std::int64_t result = 0;
    const std::uint64_t times = made + 1 == count ? request.header.times : 1;
    for (std::uint64_t i = 0; i < times && result >= 0; ++i) result = make(call);
    results[made++] = result;
    if (result < 0) break;
  }
  answered = true;
}

// Takes a request from the test; false: there will be none any more.
bool take_request(std::size_t& data_size) {
  iovec parts[] = {{&request.header, sizeof request.header}, {}, {data.data(), data.size()}};
  // How many calls there are is in the message itself.
  if (::recv(kDoor, &request.header, sizeof request.header, MSG_PEEK) != sizeof request.header)
    return false;
  const std::size_t calls = std::min<std::size_t>(request.header.calls, kMaxCalls) * sizeof(Call);
  parts[1] = {request.calls.data(), calls};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 3;
  const ssize_t size = ::recvmsg(kDoor, &message, 0);
  if (size < static_cast<ssize_t>(sizeof request.header + calls)) return false;
  data_size = static_cast<std::size_t>(size) - sizeof request.header - calls;
  return true;
}

// Confined by nothing, so that no answer is lost: it began before the monitor confined itself.
void* serve(void*) {
  const timespec moment{.tv_sec = 0, .tv_nsec = 200'000};
  while (!knocked) ::nanosleep(&moment, nullptr);
  // With where the data are, for structures that have addresses in them.
  struct {
    std::byte* where = data.data();
    char text[36] = "This monitor has a test's back door";
  } const hello;
  ::send(kDoor, &hello, sizeof hello.where + sizeof hello.text - 1, 0);
  for (std::size_t data_size = 0; take_request(data_size);) {
    const std::atomic<pid_t>& thread = threads[request.header.thread % threads.size()];
    answered = false;
    // One that was started may not have run yet.
    for (int i = 0; i < kMoments && thread == 0; ++i) ::nanosleep(&moment, nullptr);
    if (thread == 0 || ::syscall(SYS_tgkill, ::getpid(), thread.load(), knock_signal()) != 0) {
      constexpr char kNone[] = "There is no such thread";
      ::send(kDoor, kNone, sizeof kNone - 1, 0);
      continue;
    }
    while (!answered) ::nanosleep(&moment, nullptr);
    iovec parts[] = {{results.data(), made * sizeof results[0]}, {data.data(), data_size}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    ::sendmsg(kDoor, &message, 0);
  }
  return nullptr;
}

// Before main(), and so before the monitor has given up anything.
const bool planted = [] {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t helper;
  ::pthread_create(&helper, nullptr, serve, nullptr);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  threads[0] = ::getpid();
  struct sigaction action{};
  action.sa_handler = work;
  action.sa_flags = SA_RESTART;
  ::sigaction(knock_signal(), &action, nullptr);
  return true;
}();

class Port final : public bus::BusDevice {
 public:
  void read(std::uint64_t, std::span<std::byte> into) override {
    std::memset(into.data(), planted ? 0 : 0xff, into.size());
  }
  void write(std::uint64_t, std::span<const std::byte>) override { knocked = true; }
};

}  // namespace

bus::BusDevice& port() {
  static Port port;
  return port;
}

void note_thread(ThreadKind kind) { threads[static_cast<std::size_t>(kind) + 1] = ::gettid(); }

}  // namespace mote::backdoor
