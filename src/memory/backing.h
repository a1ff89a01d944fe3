// How the host's memory becomes the guest's: what the ways of backing it have in common, for
// GuestMemory.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/mapped_memory.h"
#include "base/unique_fd.h"
#include "memory/guest_memory.h"

namespace mote::memory {

// Regions begin at such an address, as they do in the guest, so that pages of 2 MiB fit.
inline constexpr std::uint64_t kHugePageSize = 2 << 20;
inline constexpr std::uint64_t kGiantPageSize = 1 << 30;

std::uint64_t page_size(Backing backing);
// Where a mapping of `size` bytes is to begin, so that the tables of its pages hold no others.
inline std::uint64_t alignment_for(std::uint64_t size) {
  return size < kGiantPageSize ? kHugePageSize : kGiantPageSize;
}
// Errors (kInvalid): ranges that are empty, unaligned, overlap or are in no order.
Result<void> check_ranges(const MemoryConfig& config);
std::uint64_t total_of(const MemoryConfig& config);
// A region; of a backing that is a file, from `file_offset` of `file` on.
Result<MappedMemory> map_region(const MemoryConfig& config, const Range& range, int file,
                                std::uint64_t file_offset);
// Where its memory comes from, for messages.
std::string_view source_of(Backing backing);
// A memfd of `size` bytes; `sealable`, where it is to be frozen.
Result<UniqueFd> make_memfd(std::uint64_t size, bool sealable);
// Tells the host how to keep `memory`, which was mapped just now.
void advise(const MemoryConfig& config, std::span<std::byte> memory);

}  // namespace mote::memory
