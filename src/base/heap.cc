#include "base/heap.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace mote {
namespace {

constexpr std::uintptr_t kPage = 4096;

// Global, as the heap is.
std::uintptr_t heap_start = 0;

std::uintptr_t heap_end() { return reinterpret_cast<std::uintptr_t>(::sbrk(0)); }

}  // namespace

void note_heap_start() {
  void* const first = std::malloc(1);
  heap_start = reinterpret_cast<std::uintptr_t>(first) & ~(kPage - 1);
  std::free(first);
}

Result<void> lock_heap() {
  const std::uintptr_t end = heap_end();
  if (heap_start == 0 || end <= heap_start) return {};
  if (::mlock2(reinterpret_cast<const void*>(heap_start), end - heap_start, MLOCK_ONFAULT) == 0) {
    return {};
  }
  return fail_errno(errno, "lock {} KiB of the heap in memory", (end - heap_start) / 1024);
}

}  // namespace mote
