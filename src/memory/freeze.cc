// Guest memory that is frozen: what it holds at a moment becomes a layer that nobody changes any
// more, and this process goes on in a private mapping of it, as those do that get the layers.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/zeros.h"
#include "memory/backing.h"
#include "memory/page_table.h"

namespace mote::memory {
namespace {

// What is compared and copied as one. Larger pieces copy more than was written, smaller ones make
// more mappings.
constexpr std::uint64_t kPiece = 64 << 10;
constexpr std::uint64_t kPagesOfPiece = kPiece / kPageSize;
// A memfd that becomes a layer is looked at in larger ones, and has so many parts at most: each is
// found and mapped while the guest waits.
constexpr std::uint64_t kBlock = 256 << 10;
constexpr std::size_t kMaxParts = 256;
// What the page table is asked about at once.
constexpr std::uint64_t kWindow = 4 << 20;

// Lays layer `layer` of `layers`, or zeros, over [at, at + size), at the place `offset` of memory.
Result<void> map_part(std::byte* at, std::uint64_t offset, std::uint64_t size, std::uint32_t layer,
                      const Layers& layers, int how) {
  const bool zeros = layer == kNoLayer;
  const int flags = MAP_PRIVATE | MAP_NORESERVE | how | (zeros ? MAP_ANONYMOUS : 0);
  const void* mapped =
      ::mmap(at, size, PROT_READ | PROT_WRITE, flags, zeros ? -1 : layers.files[layer]->get(),
             zeros ? 0 : static_cast<off_t>(offset));
  if (mapped == MAP_FAILED) return fail_errno(errno, "map {} bytes of guest memory", size);
  return {};
}

Result<void> seal(int fd) {
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  if (::fcntl(fd, F_ADD_SEALS, seals) < 0) return fail_errno(errno, "seal guest memory");
  return {};
}

// Finds out which pieces of a region are still as its layers have them.
class Changes {
 public:
  // `memory` is the region, which is at `offset` of all memory. Both outlive it.
  Changes(const Layers& layers, std::span<std::byte> memory, std::uint64_t offset)
      : layers_(layers), memory_(memory), offset_(offset) {}

  // Of the piece that begins at `at` in the region. From the first to the last.
  Result<bool> in_piece(std::uint64_t at) {
    if (at % kWindow == 0) look(at);
    if (known_) {
      const std::uint64_t page = at % kWindow / kPageSize;
      static_assert(kPagesOfPiece == 16);
      return (own_[page / 64] >> (page % 64) & 0xffff) != 0;
    }
    const auto piece = memory_.subspan(at, std::min(kPiece, memory_.size() - at));
    bool changed = false;
    MOTE_CHECK(each_part(layers_.extents, offset_ + at, piece.size(),
                         [&](std::uint64_t part, std::uint64_t size, std::uint32_t layer) {
                           return compare(piece.subspan(part - offset_ - at, size), part, layer,
                                          changed);
                         }));
    return changed;
  }

 private:
  void look(std::uint64_t at) {
    own_ = {};
    const auto window = memory_.subspan(at, std::min(kWindow, memory_.size() - at));
    known_ = page_table_.own_pages({window.data(), window.size()}, 0, own_);
  }
  Result<void> compare(std::span<std::byte> part, std::uint64_t at, std::uint32_t layer,
                       bool& changed) {
    if (changed) return {};
    if (layer == kNoLayer) {
      changed = touched(part) && !is_zero(part);
      return {};
    }
    const auto kept = std::span(buffer_).first(part.size());
    MOTE_TRY(const std::size_t count, read_at(layers_.files[layer]->get(), kept, at));
    changed = count < kept.size() || std::memcmp(kept.data(), part.data(), part.size()) != 0;
    return {};
  }
  bool touched(std::span<std::byte> part) const {
    std::array<unsigned char, kPagesOfPiece> resident{};
    if (swaps_ || ::mincore(part.data(), part.size(), resident.data()) < 0) return true;
    return std::ranges::any_of(resident, [](unsigned char page) { return (page & 1) != 0; });
  }

  const Layers& layers_;
  const std::span<std::byte> memory_;
  const std::uint64_t offset_;
  PageTable page_table_;
  bool known_ = false;
  std::array<std::uint64_t, kWindow / kPageSize / 64> own_{};
  const bool swaps_ = host_swaps();
  std::array<std::byte, kPiece> buffer_;
};

bool is_in_layers(const Layers& layers, std::uint64_t offset, std::uint64_t size) {
  bool any = false;
  static_cast<void>(each_part(layers.extents, offset, size,
                              [&](std::uint64_t, std::uint64_t, std::uint32_t layer) {
                                any = any || layer != kNoLayer;
                                return Result<void>{};
                              }));
  return any;
}

// Adds a part behind the others, or to the last.
void append(std::vector<Extent>& extents, const Extent& next) {
  if (!extents.empty() && extents.back().layer == next.layer &&
      extents.back().offset + extents.back().size == next.offset) {
    extents.back().size += next.size;
  } else {
    extents.push_back(next);
  }
}

}  // namespace

void GuestMemory::make_layered(Region& region) const {
  region.backing = Backing::kFile;
  region.replaced =
      std::make_unique<DirtyBitmap>((region.range.size + kPiece - 1) / kPiece * kPageSize);
}

Result<GuestMemory> GuestMemory::map_layers(MemoryConfig config, Layers layers,
                                            std::span<std::byte* const> places) {
  config.backing = Backing::kFile;
  MOTE_CHECK(check_ranges(config));
  MOTE_CHECK(check(layers, total_of(config)));
  if (!places.empty() && places.size() != config.ranges.size()) {
    return fail(ErrorKind::kInternal, "guest memory has {} ranges and {} places",
                config.ranges.size(), places.size());
  }
  GuestMemory memory;
  memory.config_ = std::move(config);
  memory.layers_ = std::move(layers);
  std::uint64_t start = 0;
  for (std::size_t i = 0; i < memory.config_.ranges.size(); ++i) {
    const Range& range = memory.config_.ranges[i];
    MappedMemory mapping;
    if (places.empty()) {
      MOTE_TRY(mapping, MappedMemory::map_aligned(range.size, kHugePageSize, PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
    } else {
      mapping = MappedMemory::adopt(places[i], range.size);
    }
    MOTE_CHECK(each_part(memory.layers_.extents, start, range.size,
                         [&](std::uint64_t at, std::uint64_t size, std::uint32_t layer) {
                           if (places.empty() && layer == kNoLayer) return Result<void>{};
                           return map_part(mapping.data() + (at - start), at, size, layer,
                                           memory.layers_,
                                           places.empty() ? MAP_FIXED : MAP_FIXED_NOREPLACE);
                         }));
    memory.add_region(range, std::move(mapping), start);
    memory.make_layered(memory.regions_.back());
    start += range.size;
  }
  return memory;
}

template <typename Each>
Result<void> GuestMemory::each_span(std::uint64_t offset, std::uint64_t size, Each&& each) const {
  for (const Region& region : regions_) {
    const std::uint64_t begin = std::max(offset, region.file_offset);
    const std::uint64_t end = std::min(offset + size, region.file_offset + region.range.size);
    if (begin >= end) continue;
    MOTE_CHECK(each(region, region.mapping.bytes().subspan(begin - region.file_offset, end - begin),
                    begin));
  }
  return {};
}

Result<void> GuestMemory::remap(std::uint64_t offset, std::uint64_t size) {
  return each_span(
      offset, size,
      [&](const Region&, std::span<std::byte> host, std::uint64_t begin) -> Result<void> {
        MOTE_CHECK(each_part(layers_.extents, begin, host.size(),
                             [&](std::uint64_t at, std::uint64_t length, std::uint32_t layer) {
                               return map_part(host.data() + (at - begin), at, length, layer,
                                               layers_, MAP_FIXED);
                             }));
        advise(config_, host);
        return {};
      });
}

void GuestMemory::prepare_freeze() {
  if (config_.backing != Backing::kMemfd || !config_.freezable) return;
  if (auto found = extents_of(memfd_.get(), total_of(config_), kBlock, kMaxParts)) {
    touched_ = std::move(*found);
  }
}

Result<std::uint64_t> GuestMemory::freeze() {
  frozen_ = frozen_ || !layers_.files.empty() || config_.freezable;
  if (!layers_.files.empty()) return freeze_changes();
  if (config_.backing != Backing::kMemfd || !config_.freezable) {
    return fail(ErrorKind::kUnsupported, "this guest's memory was not made to be frozen");
  }
  return freeze_memfd();
}

// What parent and children share from now on is the memory itself. Nothing but a private mapping
// may write then, so that comes before the seal.
Result<std::uint64_t> GuestMemory::freeze_memfd() {
  const std::uint64_t total = total_of(config_);
  MOTE_TRY(layers_.extents, extents_of(memfd_.get(), total, kBlock, kMaxParts, touched_));
  layers_.files.push_back(std::make_shared<const UniqueFd>(std::move(memfd_)));
  config_.backing = Backing::kFile;
  for (Region& region : regions_) {
    make_layered(region);
    aside_.put(region.mapping.bytes());
  }
  // After an error all is as it was, but for a part that is private now; and whoever is given this
  // layer later refuses it, as it was not sealed.
  MOTE_CHECK(remap(0, total));
  MOTE_CHECK(seal(layers_.files.front()->get()));
  return 0;
}

Result<std::vector<Extent>> GuestMemory::find_changes(bool whole) const {
  std::vector<Extent> changed;
  const auto next = static_cast<std::uint32_t>(whole ? 0 : layers_.files.size());
  for (const Region& region : regions_) {
    const std::span<std::byte> memory = region.mapping.bytes();
    const auto changes = std::make_unique<Changes>(layers_, memory, region.file_offset);
    for (std::uint64_t at = 0; at < memory.size(); at += kPiece) {
      const std::uint64_t offset = region.file_offset + at;
      const auto piece = memory.subspan(at, std::min(kPiece, memory.size() - at));
      MOTE_TRY(bool taken, changes->in_piece(at));
      taken = taken || region.replaced->test(at / kPiece);
      const bool kept = is_in_layers(layers_, offset, piece.size());
      if (!taken && !(whole && kept)) continue;
      const bool zeros = is_zero(piece);
      // What was looked at, and is of no layer, is zeros still.
      if (!zeros || kept) append(changed, {offset, piece.size(), zeros ? kNoLayer : next});
    }
  }
  return changed;
}

Result<std::uint64_t> GuestMemory::copy_out(std::span<const Extent> extents, int fd) const {
  std::uint64_t copied = 0;
  for (const Extent& extent : extents) {
    if (extent.layer == kNoLayer) continue;
    MOTE_CHECK(each_span(extent.offset, extent.size,
                         [&](const Region&, std::span<std::byte> host, std::uint64_t at) {
                           copied += host.size();
                           return write_at(fd, host, at);
                         }));
  }
  return copied;
}

// What was written since goes into a layer of its own; where there would be too many of them, all
// that there is goes into one.
Result<std::uint64_t> GuestMemory::freeze_changes() {
  MOTE_TRY(std::vector<Extent> changed, find_changes(/*whole=*/false));
  if (changed.empty()) return 0;
  Layers made{.files = layers_.files, .extents = lay_over(layers_.extents, changed)};
  if (made.files.size() >= kMaxLayers || made.extents.size() > kMaxExtents) {
    MOTE_TRY(changed, find_changes(/*whole=*/true));
    made = {};
  }
  std::uint64_t copied = 0;
  const bool any =
      std::ranges::any_of(changed, [](const Extent& extent) { return extent.layer != kNoLayer; });
  if (any || made.files.empty()) {
    MOTE_TRY(UniqueFd layer, make_memfd(total_of(config_), /*sealable=*/true));
    MOTE_TRY(copied, copy_out(changed, layer.get()));
    MOTE_CHECK(seal(layer.get()));
    if (made.files.empty()) {
      MOTE_TRY(made.extents, extents_of(layer.get(), total_of(config_), kPiece));
    }
    made.files.push_back(std::make_shared<const UniqueFd>(std::move(layer)));
  }
  layers_ = std::move(made);
  for (const Region& region : regions_) static_cast<void>(region.replaced->take());
  for (const Extent& extent : changed) {
    const auto done = remap(extent.offset, extent.size);
    if (done) continue;
    // It has the same bytes, from elsewhere; they are looked at the next time.
    for (const Extent& one : changed) {
      static_cast<void>(each_span(
          one.offset, one.size,
          [](const Region& region, std::span<std::byte> host, std::uint64_t) -> Result<void> {
            region.note_replaced(static_cast<std::uint64_t>(host.data() - region.mapping.data()),
                                 host.size());
            return {};
          }));
    }
    return std::unexpected(done.error());
  }
  return copied;
}

void GuestMemory::Region::note_replaced(std::uint64_t offset, std::uint64_t size) const {
  if (replaced == nullptr || size == 0) return;
  const std::uint64_t first = offset / kPiece;
  const std::uint64_t last = (offset + size - 1) / kPiece;
  // A bit a piece.
  replaced->mark(first * kPageSize, (last - first + 1) * kPageSize);
}

}  // namespace mote::memory
