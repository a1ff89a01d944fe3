#include "programs/mote_vmm/signals.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace mote::vmm {
namespace {

sigset_t signal_set() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGWINCH}) ::sigaddset(&set, signal);
  return set;
}

}  // namespace

void Signals::block() {
  const sigset_t set = signal_set();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
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
             while (::read(fd, &info, sizeof info) == sizeof info)
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
  ::kill(::getpid(), signal);
  // Not reached for a signal whose default action ends a process.
  ::_exit(128 + signal);
}

}  // namespace mote::vmm
