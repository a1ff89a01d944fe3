#include "memory/guest_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "memory/backing.h"

namespace mote::memory {

bool GuestSlice::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (!inside(offset, into.size())) return false;
  if (!into.empty()) std::memcpy(into.data(), host_ + offset, into.size());
  return true;
}

bool GuestSlice::write(std::uint64_t offset, std::span<const std::byte> from) const {
  if (!inside(offset, from.size())) return false;
  if (from.empty()) return true;
  std::memcpy(host_ + offset, from.data(), from.size());
  mark_dirty(offset, from.size());
  return true;
}

bool GuestSlice::zero(std::uint64_t offset, std::uint64_t length) const {
  if (!inside(offset, length)) return false;
  if (length == 0) return true;
  std::memset(host_ + offset, 0, length);
  mark_dirty(offset, length);
  return true;
}

std::optional<GuestSlice> GuestSlice::sub(std::uint64_t offset, std::uint64_t length) const {
  if (!inside(offset, length)) return std::nullopt;
  return GuestSlice(host_ + offset, length, dirty_, region_offset_ + offset);
}

Result<GuestMemory> GuestMemory::create(const MemoryConfig& config) {
  if (config.backing == Backing::kFile) {
    return fail(ErrorKind::kInternal, "guest memory of a file was asked for without the file");
  }
  return make(config, -1);
}

Result<GuestMemory> GuestMemory::map_file(MemoryConfig config, int fd) {
  config.backing = Backing::kFile;
  return make(config, fd);
}

Result<GuestMemory> GuestMemory::make(const MemoryConfig& config, int file) {
  MOTE_CHECK(check_ranges(config));
  GuestMemory memory;
  memory.config_ = config;
  if (config.backing == Backing::kMemfd) {
    MOTE_TRY(memory.memfd_, make_memfd(total_of(config), config.freezable));
    file = memory.memfd_.get();
  }
  std::uint64_t file_offset = 0;
  for (const Range& range : config.ranges) {
    auto mapping = map_region(config, range, file, file_offset);
    if (!mapping) {
      return std::unexpected(
          std::move(mapping.error())
              .within(fmt::format("guest memory of {} MiB at {:#x} from {}", range.size >> 20,
                                  range.start, source_of(config.backing))));
    }
    memory.add_region(range, std::move(*mapping), file_offset);
    file_offset += range.size;
  }
  return memory;
}

void GuestMemory::add_region(const Range& range, MappedMemory mapping, std::uint64_t file_offset) {
  advise(config_, mapping.bytes());
  Region region{.range = range,
                .mapping = std::move(mapping),
                .file_offset = file_offset,
                .dirty = {},
                .backing = config_.backing};
  if (config_.track_dirty_pages) region.dirty = std::make_unique<DirtyBitmap>(range.size);
  regions_.push_back(std::move(region));
}

std::optional<GuestSlice> GuestMemory::Region::find(GuestAddress address, std::uint64_t length,
                                                    Access access) const {
  if (address < range.start || address > range.end()) return std::nullopt;
  const std::uint64_t offset = address - range.start;
  if (length > range.size - offset) return std::nullopt;
  if (access == Access::kWrite && !writable) return std::nullopt;
  if (blocks != nullptr && !blocks->all_set(offset, length)) return std::nullopt;
  return GuestSlice(mapping.data() + offset, length, dirty.get(), offset);
}

bool GuestMemory::Region::holds(const GuestSlice& slice) const {
  return slice.host_ != nullptr && slice.host_ >= mapping.data() &&
         slice.host_ + slice.size_ <= mapping.data() + mapping.size();
}

std::optional<GuestSlice> GuestMemory::find(GuestAddress address, std::uint64_t length,
                                            Access access) const {
  for (const Region& region : regions_) {
    if (auto found = region.find(address, length, access)) return found;
  }
  // Acquire: sees the region that attach() put there whole.
  for (const Attached* at = attached_->head.load(std::memory_order_acquire); at != nullptr;
       at = at->next.get()) {
    if (auto found = at->region.find(address, length, access)) return found;
  }
  return std::nullopt;
}

Result<GuestSlice> GuestMemory::slice(GuestAddress address, std::uint64_t length,
                                      Access access) const {
  if (auto found = find(address, length, access)) return *found;
  return fail(ErrorKind::kGuest, "{} bytes at guest address {:#x} are not all in guest memory",
              length, address);
}

Result<void> GuestMemory::read(GuestAddress address, std::span<std::byte> into) const {
  MOTE_TRY(const GuestSlice part, slice(address, into.size()));
  static_cast<void>(part.read(0, into));
  return {};
}

Result<void> GuestMemory::write(GuestAddress address, std::span<const std::byte> from) const {
  MOTE_TRY(const GuestSlice part, slice(address, from.size()));
  static_cast<void>(part.write(0, from));
  return {};
}

Result<void> GuestMemory::load_file(GuestAddress address, std::uint64_t length, int fd,
                                    std::uint64_t offset) const {
  MOTE_TRY(const GuestSlice part, slice(address, length));
  const iovec target = part.lend_for_writing();
  MOTE_TRY(const std::size_t count,
           read_at(fd, {static_cast<std::byte*>(target.iov_base), target.iov_len}, offset));
  if (count < length) {
    return fail(ErrorKind::kInvalid, "the file ends after {} of {} bytes at offset {}", count,
                length, offset);
  }
  return {};
}

void GuestMemory::prefer_huge_pages(GuestAddress address, std::uint64_t length) const {
  const auto part = find(address, length);
  if (!part) return;
  const Region* region = region_of(*part);
  if (region == nullptr || region->backing != Backing::kAnonymous) return;
  // The block's place counts in the guest and on the host; a region begins at such a block on both.
  const std::uint64_t start = (part->region_offset_ + kHugePageSize - 1) / kHugePageSize;
  const std::uint64_t end = (part->region_offset_ + part->size_) / kHugePageSize;
  if (start >= end || region->range.start % kHugePageSize != 0) return;
  ::madvise(region->mapping.data() + start * kHugePageSize, (end - start) * kHugePageSize,
            MADV_HUGEPAGE);
}

Result<void> GuestMemory::attach(DeviceRegion region) {
  const Range& range = region.range;
  if (range.size == 0 || range.start % kPageSize != 0 || range.size % kPageSize != 0 ||
      range.size > UINT64_MAX - range.start || region.mapping.size() != range.size) {
    return fail(ErrorKind::kInvalid, "{} bytes at {:#x} are not whole pages that are mapped",
                range.size, range.start);
  }
  const auto overlaps = [&](const Range& other) {
    return range.start < other.end() && other.start < range.end();
  };
  bool taken =
      std::ranges::any_of(regions_, [&](const Region& other) { return overlaps(other.range); });
  Attached* head = attached_->head.load(std::memory_order_relaxed);
  for (const Attached* at = head; at != nullptr; at = at->next.get()) {
    taken = taken || overlaps(at->region.range);
  }
  if (taken) {
    return fail(ErrorKind::kInvalid, "{} bytes at {:#x} overlap other guest memory", range.size,
                range.start);
  }
  auto added = std::make_unique<Attached>(
      Region{
          .range = range,
          .mapping = std::move(region.mapping),
          .dirty = region.track_dirty_pages ? std::make_unique<DirtyBitmap>(range.size) : nullptr,
          .backing = region.backing,
          .writable = region.writable,
          .blocks = std::move(region.blocks)},
      std::unique_ptr<Attached>(head));
  attached_->head.store(added.release(), std::memory_order_release);
  return {};
}

const GuestMemory::Region* GuestMemory::region_of(const GuestSlice& slice) const {
  for (const Region& region : regions_) {
    if (region.holds(slice)) return &region;
  }
  for (const Attached* at = attached_->head.load(std::memory_order_acquire); at != nullptr;
       at = at->next.get()) {
    if (at->region.holds(slice)) return &at->region;
  }
  return nullptr;
}

Result<std::uint64_t> GuestMemory::discard(const GuestSlice& slice) const {
  const Region* region = region_of(slice);
  if (region == nullptr || !region->backing) {
    return fail(ErrorKind::kInvalid, "{} bytes are not memory that can be given back",
                slice.size());
  }
  const std::uint64_t page = page_size(*region->backing);
  const std::uint64_t start = (slice.region_offset_ + page - 1) / page * page;
  const std::uint64_t end = (slice.region_offset_ + slice.size_) / page * page;
  if (start >= end) return 0;
  if (!discard_pages(region->mapping.data() + start, end - start, *region->backing)) {
    return fail_errno(errno, "give {} bytes of guest memory back to the host", end - start);
  }
  if (region->dirty) region->dirty->mark(start, end - start);
  region->note_replaced(start, end - start);
  return end - start;
}

Result<void> GuestMemory::lay_file_over(const Range& range, int fd, std::uint64_t offset) const {
  MOTE_TRY(const GuestSlice part, slice(range.start, range.size));
  if (config_.backing != Backing::kFile || range.size % kPageSize != 0 || range.size == 0 ||
      range.start % kPageSize != 0) {
    return fail(ErrorKind::kInternal, "{} bytes at {:#x} are not for a file to be laid over",
                range.size, range.start);
  }
  if (::mmap(part.host_, range.size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd,
             static_cast<off_t>(offset)) == MAP_FAILED) {
    return fail_errno(errno, "map {} bytes of the snapshot's file at {:#x}", range.size,
                      range.start);
  }
  ::madvise(part.host_, range.size, MADV_DONTDUMP);
  return {};
}

const GuestMemory::Region* GuestMemory::region_at(GuestAddress address) const {
  const auto has = [address](const Region& region) {
    return address >= region.range.start && address < region.range.end();
  };
  for (const Region& region : regions_) {
    if (has(region)) return &region;
  }
  for (const Attached* at = attached_->head.load(std::memory_order_acquire); at != nullptr;
       at = at->next.get()) {
    if (has(at->region)) return &at->region;
  }
  return nullptr;
}

std::vector<RegionView> GuestMemory::contents() const {
  std::vector<RegionView> views = regions();
  for (const Attached* at = attached_->head.load(std::memory_order_acquire); at != nullptr;
       at = at->next.get()) {
    if (!at->region.backing) continue;
    views.push_back({.range = at->region.range,
                     .host_address = reinterpret_cast<std::uintptr_t>(at->region.mapping.data())});
  }
  std::ranges::sort(views, {}, [](const RegionView& view) { return view.range.start; });
  return views;
}

std::vector<RegionView> GuestMemory::regions() const {
  std::vector<RegionView> views;
  views.reserve(regions_.size());
  for (const Region& region : regions_) {
    views.push_back({.range = region.range,
                     .host_address = reinterpret_cast<std::uintptr_t>(region.mapping.data()),
                     .fd = memfd_.get(),
                     .file_offset = region.file_offset});
  }
  return views;
}

std::uint64_t GuestMemory::total_size() const {
  std::uint64_t total = 0;
  for (const Region& region : regions_) total += region.range.size;
  return total;
}

GuestAddress GuestMemory::end() const { return regions_.back().range.end(); }

}  // namespace mote::memory
