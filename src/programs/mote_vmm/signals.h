// The signals of a monitor, taken by its event loop: those that end it, so that it cleans up first,
// and SIGWINCH, by which a terminal tells that it has another size.
#pragma once

#include <signal.h>

#include <functional>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::vmm {

class Signals {
 public:
  // Blocks those that the loop takes (SIGTERM, SIGINT, SIGHUP, SIGXCPU, SIGXFSZ, SIGWINCH) in this
  // thread and all that it starts later, and ignores SIGPIPE, whose cause a write reports as well.
  // Those that tell of a fault of this program (SIGSEGV, SIGBUS, SIGILL, SIGSYS) end the process
  // with the statuses that Firecracker ends with, whoever sent them. Call before any other thread
  // exists.
  static void block();

  // Calls `handler` with the number of each such signal, on the loop's thread.
  static Result<Signals> watch(EventLoop& loop, std::function<void(int)> handler);

 private:
  Signals() = default;
  UniqueFd fd_;
  EventLoop::Watch watch_;
};

// SYS_SECCOMP of asm-generic/siginfo.h, which the C library has not and whose header cannot be
// included beside its own: the si_code of a SIGSYS that a filter raised.
inline constexpr int kFromSeccomp = 1;

// The status that the process ends with on one of the signals above; 0: it ends by the signal.
int status_of_signal(int signal);

// Called, once, when a fault ends the process, from its signal handler: what it does may be cut off
// after a second. Also when the program finds a defect in itself and aborts. Set before other
// threads start.
void set_last_words(void (*last_words)(const siginfo_t& fault, const ucontext_t& context));

// Ends the process by `signal`'s default action, so that a parent sees what ended it.
[[noreturn]] void die_by(int signal);

}  // namespace mote::vmm
