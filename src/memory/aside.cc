#include "memory/aside.h"

#include <linux/mman.h>
#include <sys/mman.h>

#include <algorithm>

#include "memory/backing.h"

namespace mote::memory {
namespace {

// Unmapped at once: between them the time is looked at.
constexpr std::size_t kPart = 1 << 20;

// Where page tables can be moved to whole. Nothing is there, unless another thread takes it.
std::byte* find_place(std::size_t size) {
  const std::uint64_t alignment = alignment_for(size);
  const auto room = MappedMemory::map(size + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (!room) return nullptr;
  const std::uintptr_t before = reinterpret_cast<std::uintptr_t>(room->data()) % alignment;
  return room->data() + (before == 0 ? 0 : alignment - before);
}

}  // namespace

void Aside::put(std::span<std::byte> memory) {
  // Another place than the one that is wished for is only slower.
  void* const moved = ::mremap(memory.data(), memory.size(), memory.size(),
                               MREMAP_MAYMOVE | MREMAP_DONTUNMAP, find_place(memory.size()));
  if (moved == MAP_FAILED) return;
  mappings_.push_back(MappedMemory::adopt(static_cast<std::byte*>(moved), memory.size()));
}

bool Aside::drop(std::chrono::nanoseconds time) {
  const auto begun = std::chrono::steady_clock::now();
  for (auto spent = std::chrono::nanoseconds(0); !mappings_.empty() && spent < time;
       spent = std::chrono::steady_clock::now() - begun) {
    MappedMemory& last = mappings_.back();
    last.truncate(last.size() - std::min(last.size(), kPart));
    if (last.size() == 0) mappings_.pop_back();
  }
  return !mappings_.empty();
}

}  // namespace mote::memory
