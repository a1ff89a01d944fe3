#include "base/thread_guard.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#ifdef MOTE_TEST_BACKDOOR
#include "tests/isolation/backdoor/backdoor.h"
#endif

namespace mote {
namespace {

// Global, as threads of every room come here.
std::atomic<ThreadGuard> the_guard = nullptr;

thread_local pid_t the_thread = 0;

}  // namespace

void set_thread_guard(ThreadGuard guard) { the_guard = guard; }

void enter_thread(ThreadKind kind) {
#ifdef MOTE_TEST_BACKDOOR
  backdoor::note_thread(kind);
#endif
  note_thread();
  if (const ThreadGuard guard = the_guard.load()) guard(kind);
}

void note_thread() { the_thread = ::gettid(); }

}  // namespace mote

// In the place of the C library's.
extern "C" int raise(int signal) noexcept {
  const pid_t self = mote::the_thread != 0 ? mote::the_thread : ::gettid();
  return ::tgkill(::getpid(), self, signal);
}
