// Which pages of a paused guest's memory have become another since it was last clean.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "memory/guest_memory.h"
#include "memory/page_table.h"

namespace mote::snapshot {

// Looked at in one go: as much as the smallest block that can be plugged.
inline constexpr std::uint64_t kChunk = 2 << 20;
inline constexpr std::size_t kChunkPages = kChunk / memory::kPageSize;

class ChangedPages {
 public:
  explicit ChangedPages(const memory::GuestMemory& memory) : memory_(memory) {}

  // Looks at `length` bytes of guest memory from `start` on, at most kChunk, which are at `host`
  // (none: they are unplugged).
  void look(memory::GuestAddress start, std::uint64_t length, std::optional<iovec> host);
  // Of what was looked at.
  bool operator[](std::size_t page) const { return (words_[page / 64] >> (page % 64) & 1) != 0; }

 private:
  bool ask_mincore(const iovec& host);

  const memory::GuestMemory& memory_;
  // A jail has none; then mincore says a little more than is true.
  memory::PageTable page_table_;
  bool swaps_ = memory::host_swaps();
  std::array<std::uint64_t, kChunkPages / 64> words_{};
};

}  // namespace mote::snapshot
