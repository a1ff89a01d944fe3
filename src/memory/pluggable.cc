#include "memory/pluggable.h"

#include <linux/mman.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace mote::memory {
namespace {

// The largest block that Linux adds memory in.
constexpr std::uint64_t kAlignment = std::uint64_t{2} << 30;
constexpr std::uint64_t kHugePageSize = std::uint64_t{2} << 20;

Result<Range> find_range(AddressSpace& space, std::uint64_t size, std::optional<GuestAddress> at) {
  if (!at) return space.reserve(size, kAlignment);
  const Range range{.start = *at, .size = size};
  MOTE_CHECK(space.reserve_at(range));
  return range;
}

}  // namespace

PluggableMemory::PluggableMemory(AddressSpace& space, const PluggableSizes& sizes,
                                 const Range& range, std::byte* host, std::shared_ptr<BlockMap> map)
    : space_(space),
      sizes_(sizes),
      range_(range),
      host_(host),
      map_(std::move(map)),
      parts_(sizes.total / sizes.slot) {}

Result<std::unique_ptr<PluggableMemory>> PluggableMemory::create(AddressSpace& space,
                                                                 const PluggableSizes& sizes,
                                                                 std::optional<GuestAddress> at) {
  const MemoryConfig& ram = space.memory().config();
  if (ram.backing == Backing::kMemfd) {
    return fail(ErrorKind::kUnsupported,
                "memory cannot be plugged into a machine whose memory is shared with other "
                "processes: that is not built");
  }
  MOTE_TRY(const Range range, find_range(space, sizes.total, at));
  MOTE_TRY(MappedMemory mapping,
           MappedMemory::map_aligned(sizes.total, kHugePageSize, PROT_NONE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
  std::byte* host = mapping.data();
  auto map = std::make_shared<BlockMap>(sizes.total / sizes.block, sizes.block);
  MOTE_CHECK(space.attach({.range = range,
                           .mapping = std::move(mapping),
                           .backing = ram.backing,
                           .blocks = map,
                           .track_dirty_pages = ram.track_dirty_pages}));
  return std::unique_ptr<PluggableMemory>(
      new PluggableMemory(space, sizes, range, host, std::move(map)));
}

std::uint64_t PluggableMemory::plugged(std::uint64_t first, std::uint64_t count) const {
  return map_->count(first, count);
}

std::uint64_t PluggableMemory::slots_of(std::uint64_t first, std::uint64_t count) const {
  const std::uint64_t per_slot = sizes_.slot / sizes_.block;
  return (first + count - 1) / per_slot - first / per_slot + 1;
}

template <typename Use>
void PluggableMemory::each_part(std::uint64_t first, std::uint64_t count, Use&& use) const {
  const std::uint64_t per_slot = sizes_.slot / sizes_.block;
  while (count > 0) {
    const std::uint64_t part = first / per_slot;
    const std::uint64_t here = std::min(count, (part + 1) * per_slot - first);
    use(static_cast<std::size_t>(part), first, here);
    first += here;
    count -= here;
  }
}

Result<void> PluggableMemory::make_usable(std::size_t part) {
  std::byte* start = host_ + part * sizes_.slot;
  const MemoryConfig& ram = space_.memory().config();
  // Huge pages are reserved at once: a pool that is too small is an error here, not a SIGBUS in the
  // guest.
  const bool huge = ram.backing == Backing::kHugetlb2M;
  const int kind = huge ? MAP_HUGETLB | MAP_HUGE_2MB : MAP_NORESERVE;
  // Laid over what cannot be used, of which nobody has a slice: that needs no call that only this
  // would need.
  if (::mmap(start, sizes_.slot, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | kind, -1, 0) == MAP_FAILED) {
    return fail_errno(errno, "take {} MiB from the host's {}", sizes_.slot >> 20,
                      huge ? "pool of huge pages" : "memory");
  }
  if (!huge) {
    ::madvise(start, sizes_.slot, ram.transparent_huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  }
  ::madvise(start, sizes_.slot, MADV_DONTDUMP);
  parts_[part].usable = true;
  return {};
}

Result<void> PluggableMemory::open(std::size_t part) {
  if (!parts_[part].usable) MOTE_CHECK(make_usable(part));
  MOTE_TRY(parts_[part].slot,
           space_.map({.start = range_.start + part * sizes_.slot, .size = sizes_.slot},
                      host_ + part * sizes_.slot, Access::kWrite));
  return {};
}

Result<void> PluggableMemory::plug(std::uint64_t first, std::uint64_t count) {
  Result<void> opened;
  std::vector<std::size_t> fresh;
  each_part(first, count, [&](std::size_t part, std::uint64_t /*first*/, std::uint64_t /*count*/) {
    if (!opened || parts_[part].slot) return;
    opened = open(part);
    if (opened) fresh.push_back(part);
  });
  if (!opened) {
    for (const std::size_t part : fresh) parts_[part].slot = Slot();
    return opened;
  }
  each_part(first, count, [&](std::size_t part, std::uint64_t /*first*/, std::uint64_t here) {
    parts_[part].plugged += here;
  });
  plugged_ += count;
  map_->assign(first, count, true);
  return {};
}

bool PluggableMemory::discard(std::uint64_t offset, std::uint64_t length) {
  space_.memory().mark_dirty({.start = range_.start + offset, .size = length});
  return discard_pages(host_ + offset, length, space_.memory().config().backing);
}

bool PluggableMemory::unplug(std::uint64_t first, std::uint64_t count) {
  // First nobody finds it any more, then the guest has lost it, and then it is given back.
  map_->assign(first, count, false);
  plugged_ -= count;
  bool discarded = true;
  each_part(first, count, [&](std::size_t part, std::uint64_t from, std::uint64_t here) {
    parts_[part].plugged -= here;
    if (parts_[part].plugged > 0) {
      discarded = discard(from * sizes_.block, here * sizes_.block) && discarded;
      return;
    }
    parts_[part].slot = Slot();
    discarded = discard(part * sizes_.slot, sizes_.slot) && discarded;
  });
  return discarded;
}

bool PluggableMemory::unplug_all() {
  bool discarded = true;
  map_->assign(0, blocks(), false);
  plugged_ = 0;
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    if (parts_[part].plugged == 0) continue;
    parts_[part].plugged = 0;
    parts_[part].slot = Slot();
    discarded = discard(part * sizes_.slot, sizes_.slot) && discarded;
  }
  return discarded;
}

}  // namespace mote::memory
