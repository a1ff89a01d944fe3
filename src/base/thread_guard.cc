#include "base/thread_guard.h"

#include <atomic>

namespace mote {
namespace {

// Global, as threads of every room come here.
std::atomic<ThreadGuard> the_guard = nullptr;

}  // namespace

void set_thread_guard(ThreadGuard guard) { the_guard = guard; }

void enter_thread(ThreadKind kind) {
  if (const ThreadGuard guard = the_guard.load()) guard(kind);
}

}  // namespace mote
