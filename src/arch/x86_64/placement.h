// What may lie where in guest memory before the guest starts: claims of the kernel and the initrd,
// checked against RAM, against what mote itself puts below 1 MiB, and against each other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::arch {

constexpr bool overlap(const memory::Range& left, const memory::Range& right) {
  return left.start < right.end() && right.start < left.end();
}

// Adds `range` to `claimed`. Errors: it overflows, is not all in RAM, overlaps one of
// boot_structures() or one already claimed.
Result<void> claim_for_kernel(const memory::GuestMemory& memory, const memory::Range& range,
                              std::vector<memory::Range>& claimed);

// Asks for huge pages behind what `claimed` takes, which is about to be filled, small gaps between
// included: a kernel is loaded and entered with far fewer page faults, here and in KVM.
void prepare_to_fill(const memory::GuestMemory& memory, std::vector<memory::Range> claimed);

// Asks for huge pages where Linux fills memory before its first process: behind the kernel, where
// its allocator begins, and at the end of RAM, or below an initrd there, where its map of memory
// lies (64 bytes a page). Nothing for a kernel of less than 2 MiB, which is not Linux.
void prepare_for_linux(const memory::GuestMemory& memory, std::span<const memory::Range> kernel,
                       const memory::Range& initrd);

// The highest page-aligned place for `size` bytes in RAM below 4 GiB that ends no higher than
// `limit` and overlaps none of `claimed`; an error when there is none above 1 MiB.
Result<std::uint64_t> place_initrd(const memory::GuestMemory& memory, std::uint64_t size,
                                   std::uint64_t limit, std::span<const memory::Range> claimed);

}  // namespace mote::arch
