#include "arch/x86_64/placement.h"

#include <algorithm>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/memory_map.h"

namespace mote::arch {
namespace {

constexpr std::uint64_t kHugePage = 2 << 20;

}  // namespace

Result<void> claim_for_kernel(const memory::GuestMemory& memory, const memory::Range& range,
                              std::vector<memory::Range>& claimed) {
  if (range.size > UINT64_MAX - range.start || !memory.find(range.start, range.size)) {
    return fail(ErrorKind::kInvalid,
                "it wants {} bytes at guest address {:#x}, which is not all in the guest's {} MiB "
                "of memory; give the guest more memory, or check that the file is a kernel",
                range.size, range.start, memory.total_size() >> 20);
  }
  for (const BootStructure& structure : boot_structures()) {
    if (!overlap(range, structure.range)) continue;
    return fail(ErrorKind::kInvalid,
                "it wants {} bytes at guest address {:#x}, which overlaps {} at {:#x}; a kernel "
                "belongs at {:#x} or above",
                range.size, range.start, structure.name, structure.range.start,
                layout::kHighMemory);
  }
  for (const memory::Range& other : claimed) {
    if (!overlap(range, other)) continue;
    return fail(ErrorKind::kInvalid,
                "its segment of {} bytes at {:#x} overlaps that of {} bytes at {:#x}", range.size,
                range.start, other.size, other.start);
  }
  claimed.push_back(range);
  return {};
}

void prepare_to_fill(const memory::GuestMemory& memory, std::vector<memory::Range> claimed) {
  // Linux's segments begin at multiples of 2 MiB; it gives what lies between to its allocator.
  constexpr std::uint64_t kSmallGap = kHugePage;
  std::ranges::sort(claimed, {}, &memory::Range::start);
  memory::Range run;
  for (const memory::Range& range : claimed) {
    if (run.size > 0 && range.start - run.end() < kSmallGap) {
      run.size = range.end() - run.start;
      continue;
    }
    memory.prefer_huge_pages(run.start, run.size);
    run = range;
  }
  memory.prefer_huge_pages(run.start, run.size);
}

void prepare_for_linux(const memory::GuestMemory& memory, std::span<const memory::Range> kernel,
                       const memory::Range& initrd) {
  // What a kernel of the size of a distribution's takes of its allocator until then.
  constexpr std::uint64_t kFirstAllocations = 16 << 20;
  constexpr std::uint64_t kMapShare = 64;  // one in so many bytes of RAM
  std::uint64_t image = 0;
  std::uint64_t image_end = 0;
  for (const memory::Range& range : kernel) {
    image += range.size;
    image_end = std::max(image_end, range.end());
  }
  if (image < kHugePage) return;
  const std::vector<memory::RegionView> ram = memory.regions();
  const auto prefer = [&](const memory::Range& within, std::uint64_t from, std::uint64_t to) {
    from = std::max(from, within.start);
    to = std::min(to, overlap(initrd, within) ? initrd.start : within.end());
    if (from < to) memory.prefer_huge_pages(from, to - from);
  };
  prefer(ram.front().range, image_end, image_end + kFirstAllocations);
  // Smaller things lie in the last block; the map, below it, is followed by what each CPU has of
  // its own and by hash tables.
  const memory::Range& last = ram.back().range;
  const std::uint64_t end = overlap(initrd, last) ? initrd.start : last.end();
  const std::uint64_t map_end = (end - 1) / kHugePage * kHugePage;
  const std::uint64_t map_size = memory.total_size() / kMapShare + 2 * kHugePage - 1;
  prefer(last, map_end - std::min(map_end, map_size / kHugePage * kHugePage), map_end);
}

Result<std::uint64_t> place_initrd(const memory::GuestMemory& memory, std::uint64_t size,
                                   std::uint64_t limit, std::span<const memory::Range> claimed) {
  const std::uint64_t low_end = memory.regions().front().range.end();
  std::uint64_t end = std::min({limit, low_end, layout::kMmio32Start});
  while (size <= end && end - size >= layout::kHighMemory) {
    const std::uint64_t start = (end - size) / memory::kPageSize * memory::kPageSize;
    const auto hit = std::ranges::find_if(claimed, [&](const memory::Range& range) {
      return overlap(range, {.start = start, .size = size});
    });
    if (start >= layout::kHighMemory && hit == claimed.end()) return start;
    if (hit == claimed.end()) break;
    end = hit->start;  // strictly lower than before, so the loop ends
  }
  return fail(
      ErrorKind::kInvalid,
      "{} bytes do not fit beside the kernel into the guest's {} MiB of memory (of which an "
      "initrd can have what lies from {:#x} to {:#x})",
      size, memory.total_size() >> 20, layout::kHighMemory,
      std::min({limit, low_end, layout::kMmio32Start}));
}

}  // namespace mote::arch
