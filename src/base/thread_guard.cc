#include "base/thread_guard.h"

#include <atomic>

#ifdef MOTE_TEST_BACKDOOR
#include "tests/isolation/backdoor/backdoor.h"
#endif

namespace mote {
namespace {

// Global, as threads of every room come here.
std::atomic<ThreadGuard> the_guard = nullptr;

}  // namespace

void set_thread_guard(ThreadGuard guard) { the_guard = guard; }

void enter_thread(ThreadKind kind) {
#ifdef MOTE_TEST_BACKDOOR
  backdoor::note_thread(kind);
#endif
  if (const ThreadGuard guard = the_guard.load()) guard(kind);
}

}  // namespace mote
