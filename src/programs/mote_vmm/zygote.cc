#include "programs/mote_vmm/zygote.h"

#include <signal.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/descriptor_passing.h"
#include "base/thread_guard.h"

namespace mote::vmm {
namespace {

constexpr std::size_t kStreams = 3;

// A monitor that is asked for.
struct Wanted {
  std::vector<const char*> words;  // in the message
  std::vector<UniqueFd> streams;
};

// 0, or why the message asks for nothing.
int read_wanted(std::string_view text, Received received, Wanted& into) {
  if (text.size() > kMostWords) return E2BIG;
  if (received.lost_some) return EMFILE;
  if (text.back() != '\0' || received.descriptors.size() != kStreams) return EINVAL;
  for (std::size_t at = 0; at < text.size(); at = text.find('\0', at) + 1) {
    into.words.push_back(text.data() + at);
  }
  into.streams = std::move(received.descriptors);
  return 0;
}

// Nothing that was called before this may return after it. A monitor that shows its canary shows
// no other's.
[[gnu::always_inline]] inline void renew_canary() {
#if defined(__x86_64__)
  std::uint64_t canary = 0;
  if (::getrandom(&canary, sizeof canary, 0) != sizeof canary) return;
  canary &= ~std::uint64_t{0xff};  // a 0 ends a string
  __asm__ volatile("mov %0, %%fs:0x28" : : "r"(canary) : "memory");
#endif
}

// In the new process.
[[noreturn, gnu::no_stack_protector]] void become(int socket, const sigset_t& blocked,
                                                  Wanted& wanted, const MonitorMain& live) {
  renew_canary();
  ::close(socket);
  // What is typed at its starter's terminal is not for it.
  ::setsid();
  for (std::size_t i = 0; i < kStreams; ++i) {
    if (::dup2(wanted.streams[i].get(), static_cast<int>(i)) < 0) ::_exit(127);
  }
  wanted.streams.clear();
  ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
  note_thread();
  std::exit(live(wanted.words));
}

// Those that have ended. Not before the next is asked for: a pidfd can be had of one that has ended
// until it is looked for.
void forget_the_dead() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

Result<void> answer(int socket, const ZygoteAnswer& answer, std::span<const UniqueFd> monitor) {
  MOTE_CHECK_WITHIN(send_some(socket, std::as_bytes(std::span(&answer, 1)), monitor),
                    "answer a zygote's starter");
  return {};
}

}  // namespace

Result<void> serve_zygote(int socket, const MonitorMain& live) {
  // A monitor takes its signals itself; this process ends by them.
  sigset_t none;
  sigset_t blocked;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, &blocked);
  // Where it is ignored, one that has ended is forgotten at once.
  ::signal(SIGCHLD, SIG_DFL);
  const auto text = std::make_unique_for_overwrite<std::array<char, kMostWords + 1>>();
  while (true) {
    MOTE_TRY(auto received, receive_some(socket, std::as_writable_bytes(std::span(*text))));
    if (!received || received->bytes == 0) return {};
    forget_the_dead();
    Wanted wanted;
    int error = read_wanted({text->data(), received->bytes}, std::move(*received), wanted);
    // fork(2) alone: there is one thread, so nothing to lock, and nobody who wants to be told.
    const pid_t pid = error == 0 ? ::_Fork() : -1;
    if (pid == 0) become(socket, blocked, wanted, live);
    if (error == 0 && pid < 0) error = errno;
    // They may have what no other monitor is to know.
    ::explicit_bzero(text->data(), received->bytes);
    UniqueFd monitor;
    if (pid > 0) {
      monitor.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
      if (!monitor) {
        error = errno;
        ::kill(pid, SIGKILL);
      }
    }
    MOTE_CHECK(
        answer(socket, {.error = error, .pid = monitor ? pid : -1}, {&monitor, monitor ? 1U : 0U}));
  }
}

}  // namespace mote::vmm
