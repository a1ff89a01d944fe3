#include "programs/mote_vmm/signals.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "base/file.h"
#include "programs/mote_vmm/exit_status.h"

namespace mote::vmm {
namespace {

constexpr std::array kFaults{SIGSEGV, SIGBUS, SIGILL, SIGSYS};

// The process ends by SIGABRT, as one of Firecracker's that finds a defect in itself.
constexpr int kAborted = -1;

// What the first fault ends the process with, a status or kAborted; 0: there was none. Others come
// of what is done about it.
std::atomic<int> fault_status = 0;
std::atomic<void (*)(const siginfo_t&, const ucontext_t&)> words = nullptr;

sigset_t signal_set() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGXCPU, SIGXFSZ, SIGWINCH})
    ::sigaddset(&set, signal);
  return set;
}

int status_of_fault(int signal, int code) {
  // One that a filter of system calls raised; Firecracker tells it from one that somebody sent.
  if (signal == SIGSYS) return code == kFromSeccomp ? kExitBadSystemCall : kExitSentSystemCall;
  return status_of_signal(signal);
}

// `status` as in fault_status.
[[noreturn]] void end_at_once(int status) {
  if (status == kAborted) die_by(SIGABRT);
  ::_exit(status);
}

void give_up(int) { end_at_once(fault_status); }

void end_by_fault(int signal, siginfo_t* info, void* context) {
  // Whoever sends it from elsewhere has found no defect.
  if (signal == SIGABRT && info->si_pid != ::getpid()) die_by(SIGABRT);
  const int status = signal == SIGABRT ? kAborted : status_of_fault(signal, info->si_code);
  int none = 0;
  if (!fault_status.compare_exchange_strong(none, status)) end_at_once(none);
  // What was interrupted may hold a lock that the last words need.
  ::signal(SIGALRM, give_up);
  ::alarm(1);
  if (const auto last_words = words.load())
    last_words(*info, *static_cast<const ucontext_t*>(context));
  end_at_once(status);
}

void take_fault(int signal) {
  struct sigaction action{};
  action.sa_sigaction = end_by_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

int status_of_signal(int signal) {
  switch (signal) {
    case SIGSYS:
      return kExitBadSystemCall;
    case SIGBUS:
      return kExitBus;
    case SIGSEGV:
      return kExitSegmentation;
    case SIGXFSZ:
      return kExitFileSize;
    case SIGXCPU:
      return kExitCpuTime;
    case SIGHUP:
      return kExitHangUp;
    case SIGILL:
      return kExitIllegalInstruction;
    default:
      return 0;
  }
}

void set_last_words(void (*last_words)(const siginfo_t& fault, const ucontext_t& context)) {
  words = last_words;
  // By itself it ends the process, and there would be nothing to say.
  take_fault(SIGABRT);
}

void Signals::block() {
  const sigset_t set = signal_set();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  // Sanitizers have handlers of their own, which say more.
#if !__has_feature(address_sanitizer)
  for (const int signal : kFaults) take_fault(signal);
#endif
}

Result<Signals> Signals::watch(EventLoop& loop, std::function<void(int)> handler) {
  Signals signals;
  const sigset_t set = signal_set();
  signals.fd_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.fd_) return fail_errno(errno, "create a descriptor for signals");
  const int fd = signals.fd_.get();
  MOTE_TRY(signals.watch_,
           loop.watch(fd, EPOLLIN, [fd, handler = std::move(handler)](std::uint32_t) {
             signalfd_siginfo info{};
             while (read_next(fd, std::as_writable_bytes(std::span(&info, 1))) == sizeof info)
               handler(static_cast<int>(info.ssi_signo));
           }));
  return signals;
}

void die_by(int signal) {
  ::signal(signal, SIG_DFL);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::raise(signal);
  // Not reached for a signal whose default action ends a process.
  ::_exit(128 + signal);
}

}  // namespace mote::vmm
