// Which pages of a paused guest's memory have become another since it was last clean.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/unique_fd.h"
#include "memory/guest_memory.h"

namespace mote::snapshot {

// Looked at in one go: as much as the smallest block that can be plugged.
inline constexpr std::uint64_t kChunk = 2 << 20;
inline constexpr std::size_t kChunkPages = kChunk / memory::kPageSize;

class ChangedPages {
 public:
  explicit ChangedPages(const memory::GuestMemory& memory);

  // Looks at `length` bytes of guest memory from `start` on, at most kChunk, which are at `host`
  // (none: they are unplugged).
  void look(memory::GuestAddress start, std::uint64_t length, std::optional<iovec> host);
  // Of what was looked at.
  bool operator[](std::size_t page) const { return (words_[page / 64] >> (page % 64) & 1) != 0; }

 private:
  bool ask_page_table(const iovec& host);
  bool ask_mincore(const iovec& host);

  const memory::GuestMemory& memory_;
  UniqueFd page_table_;
  bool swaps_ = true;
  std::array<std::uint64_t, kChunkPages / 64> words_{};
};

// Whether this host has swap; also where that cannot be told.
bool host_swaps();

}  // namespace mote::snapshot
