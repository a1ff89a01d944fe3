#include "storage/qcow2/refcounts.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace mote::storage::qcow2 {
namespace {

constexpr std::size_t kSlice = 4096;
constexpr std::size_t kMostSlices = 64;
// Clusters looked at for a free one before the search goes on at the end of the file.
constexpr std::uint64_t kMostSearched = std::uint64_t{1} << 20;

std::uint64_t get_bits(std::span<const std::byte> bytes, std::uint64_t index, unsigned order) {
  switch (order) {
    case 6:
      return load<std::uint64_t>(bytes, index * 8);
    case 5:
      return load<std::uint32_t>(bytes, index * 4);
    case 4:
      return load<std::uint16_t>(bytes, index * 2);
    case 3:
      return std::to_integer<std::uint64_t>(bytes[index]);
    default: {
      // Several in a byte, the first in its lowest bits.
      const unsigned width = 1U << order;
      const std::uint64_t bit = index << order;
      return std::to_integer<std::uint64_t>(bytes[bit / 8]) >> bit % 8 & ((1U << width) - 1);
    }
  }
}

void set_bits(std::span<std::byte> bytes, std::uint64_t index, unsigned order,
              std::uint64_t value) {
  switch (order) {
    case 6:
      return store<std::uint64_t>(bytes, index * 8, value);
    case 5:
      return store<std::uint32_t>(bytes, index * 4, static_cast<std::uint32_t>(value));
    case 4:
      return store<std::uint16_t>(bytes, index * 2, static_cast<std::uint16_t>(value));
    case 3:
      bytes[index] = static_cast<std::byte>(value);
      return;
    default: {
      const unsigned width = 1U << order;
      const std::uint64_t bit = index << order;
      const auto mask = static_cast<std::byte>(((1U << width) - 1) << bit % 8);
      bytes[bit / 8] = (bytes[bit / 8] & ~mask) | (static_cast<std::byte>(value << bit % 8) & mask);
      return;
    }
  }
}

}  // namespace

Refcounts::Refcounts(Layout& layout, std::vector<std::uint64_t> table)
    : layout_(&layout),
      order_(layout.header.refcount_order),
      per_block_bits_(layout.header.cluster_bits + 3 - layout.header.refcount_order),
      table_(std::move(table)),
      cache_(layout.file, std::min<std::size_t>(layout.cluster_size(), kSlice), kMostSlices),
      blank_(divide_up(layout.file.size(), layout.cluster_size())) {
  sort_blocks();
}

void Refcounts::sort_blocks() {
  blocks_.clear();
  std::ranges::copy_if(table_, std::back_inserter(blocks_),
                       [](auto offset) { return offset != 0; });
  std::ranges::sort(blocks_);
}

Result<Refcounts> Refcounts::read(Layout& layout) {
  const Header& header = layout.header;
  std::vector<std::byte> bytes(header.refcount_table_clusters * header.cluster_size());
  MOTE_CHECK(layout.file.read_bytes(bytes, header.refcount_table_offset));
  std::vector<std::uint64_t> table(bytes.size() / kEntrySize);
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = load<std::uint64_t>(bytes, i * kEntrySize) & kRefcountOffsetMask;
  }
  return Refcounts(layout, std::move(table));
}

Result<std::uint64_t> Refcounts::slice_of(std::uint64_t cluster) const {
  const std::uint64_t block = cluster >> per_block_bits_;
  if (block >= table_.size() || table_[block] == 0) return 0;
  MOTE_CHECK(layout_->check_clusters("a refcount block", table_[block], layout_->cluster_size()));
  const std::uint64_t inside = (cluster & (per_block() - 1)) / per_slice();
  return table_[block] + inside * cache_.slice_size();
}

Result<std::uint64_t> Refcounts::get(std::uint64_t cluster) {
  MOTE_TRY(const std::uint64_t slice, slice_of(cluster));
  if (slice == 0) return 0;
  MOTE_TRY(const auto bytes, cache_.slice(slice));
  return get_bits(bytes, cluster % per_slice(), order_);
}

Result<void> Refcounts::set(std::uint64_t slice, std::uint64_t cluster, std::uint64_t count,
                            std::uint64_t value) {
  MOTE_TRY(const auto bytes, cache_.slice(slice));
  std::vector<std::byte> changed(bytes.begin(), bytes.end());
  const std::uint64_t first = cluster % per_slice();
  for (std::uint64_t i = 0; i < count; ++i) set_bits(changed, first + i, order_, value);
  const std::uint64_t begin = (first << order_) / 8;
  const std::uint64_t end = divide_up((first + count) << order_, 8);
  return cache_.store(slice + begin, std::span(changed).subspan(begin, end - begin));
}

// Refcounts may lie: what they are kept in is never free.
bool Refcounts::is_table(std::uint64_t cluster) const {
  const std::uint64_t offset = cluster << layout_->header.cluster_bits;
  return layout_->is_reserved(offset, 1) || std::ranges::binary_search(blocks_, offset);
}

// Moves hint_ to the next cluster in its slice whose refcount is 0, or behind the slice; how far.
Result<std::uint64_t> Refcounts::skip_used(std::uint64_t slice) {
  MOTE_TRY(const auto bytes, cache_.slice(slice));
  const std::uint64_t before = hint_;
  std::uint64_t index = hint_ % per_slice();
  while (index < per_slice() && get_bits(bytes, index, order_) != 0) {
    ++index;
    ++hint_;
  }
  return hint_ - before;
}

// Leaves hint_ at a cluster that is free and whose refcount has a place.
Result<void> Refcounts::find_free() {
  const unsigned bits = layout_->header.cluster_bits;
  bool jumped = false;
  for (std::uint64_t searched = 0;; ++searched) {
    if (searched >= kMostSearched) {
      if (jumped) {
        return fail(ErrorKind::kIo,
                    "the image is corrupt: clusters past its end are said to be in use");
      }
      hint_ = std::max(hint_, layout_->cluster_of(layout_->file.size()));
      jumped = true;
      searched = 0;
    }
    if (hint_ > (kOffsetMask >> bits) - 1) {
      return fail(ErrorKind::kResource, "the image has no cluster left");
    }
    const std::uint64_t block = hint_ >> per_block_bits_;
    if (block >= table_.size()) {
      MOTE_CHECK(grow_table());
      continue;
    }
    if (table_[block] == 0) {
      if (!is_table(hint_)) MOTE_CHECK(add_block(block));
      ++hint_;
      continue;
    }
    MOTE_TRY(const std::uint64_t slice, slice_of(hint_));
    MOTE_TRY(const std::uint64_t skipped, skip_used(slice));
    searched += skipped;
    const bool in_slice = skipped == 0 || hint_ % per_slice() != 0;
    if (!in_slice) continue;
    if (!is_table(hint_)) return {};
    ++hint_;
  }
}

// A block that is missing goes to the first free cluster that it counts, and so counts itself.
Result<void> Refcounts::add_block(std::uint64_t index) {
  const std::uint64_t offset = hint_ << layout_->header.cluster_bits;
  std::vector<std::byte> block(layout_->cluster_size());
  set_bits(block, hint_ & (per_block() - 1), order_, 1);
  MOTE_CHECK(layout_->file.grow(offset + block.size()));
  MOTE_CHECK(layout_->file.write_bytes(block, offset));
  cache_.forget(offset, block.size());
  blank_ = std::max(blank_, hint_ + 1);
  std::array<std::byte, kEntrySize> entry{};
  store<std::uint64_t>(entry, 0, offset);
  MOTE_CHECK(
      layout_->file.write_bytes(entry, layout_->header.refcount_table_offset + index * kEntrySize));
  table_[index] = offset;
  blocks_.insert(std::ranges::upper_bound(blocks_, offset), offset);
  return {};
}

Result<ClusterRun> Refcounts::allocate(std::uint64_t most) {
  MOTE_CHECK(find_free());
  const std::uint64_t first = hint_;
  MOTE_TRY(const std::uint64_t slice, slice_of(first));
  MOTE_TRY(const auto bytes, cache_.slice(slice));
  const std::uint64_t index = first % per_slice();
  const bool blank = first >= blank_;
  std::uint64_t count = 1;
  while (count < most && index + count < per_slice() &&
         get_bits(bytes, index + count, order_) == 0 && (first + count >= blank_) == blank &&
         !is_table(first + count)) {
    ++count;
  }
  MOTE_CHECK(layout_->file.grow((first + count) << layout_->header.cluster_bits));
  MOTE_CHECK(set(slice, first, count, 1));
  hint_ = first + count;
  blank_ = std::max(blank_, hint_);
  return ClusterRun{
      .offset = first << layout_->header.cluster_bits, .clusters = count, .blank = blank};
}

Result<void> Refcounts::release(std::uint64_t offset, std::uint64_t clusters) {
  const unsigned bits = layout_->header.cluster_bits;
  std::uint64_t cluster = layout_->cluster_of(offset);
  const std::uint64_t end = cluster + clusters;
  while (cluster < end) {
    MOTE_TRY(const std::uint64_t refcount, get(cluster));
    if (refcount == 0 || layout_->is_reserved(cluster << bits, 1)) {
      return fail(ErrorKind::kIo, "the image is corrupt: cluster {} is in use and counted as free",
                  cluster);
    }
    // As many as have the same.
    MOTE_TRY(const std::uint64_t slice, slice_of(cluster));
    MOTE_TRY(const auto bytes, cache_.slice(slice));
    const std::uint64_t index = cluster % per_slice();
    std::uint64_t count = 1;
    while (cluster + count < end && index + count < per_slice() &&
           get_bits(bytes, index + count, order_) == refcount &&
           !layout_->is_reserved((cluster + count) << bits, 1)) {
      ++count;
    }
    MOTE_CHECK(set(slice, cluster, count, refcount - 1));
    if (refcount == 1) {
      layout_->file.punch(cluster << bits, count << bits);
      cache_.forget(cluster << bits, count << bits);
      hint_ = std::min(hint_, cluster);
    }
    cluster += count;
  }
  return {};
}

// The table is full: a larger one goes behind all that it counts, with the blocks that count it.
Result<void> Refcounts::grow_table() {
  const std::uint64_t cluster_size = layout_->cluster_size();
  const std::uint64_t first =
      std::max<std::uint64_t>(std::uint64_t{table_.size()} << per_block_bits_,
                              layout_->cluster_of(layout_->file.size()) + 1);
  // Half as large again, and room for what counts the table and its blocks.
  std::uint64_t entries = (first >> per_block_bits_) + table_.size() / 2 + 1;
  std::uint64_t blocks = 0;
  std::uint64_t table_clusters = 0;
  for (;;) {
    table_clusters = divide_up(entries * kEntrySize, cluster_size);
    entries = table_clusters * cluster_size / kEntrySize;
    const std::uint64_t last = (first + blocks + table_clusters - 1) >> per_block_bits_;
    const std::uint64_t needed = last - (first >> per_block_bits_) + 1;
    if (needed <= blocks && last < entries) break;
    blocks = std::max(blocks, needed);
    entries = std::max(entries, last + 1);
    if (entries * kEntrySize > kMostRefcountTableBytes) {
      return fail(ErrorKind::kResource,
                  "the image is full: its refcount table cannot grow further");
    }
  }
  std::vector<std::uint64_t> table = table_;
  table.resize(entries);
  const std::uint64_t area_end = first + blocks + table_clusters;
  MOTE_CHECK(layout_->file.grow(area_end << layout_->header.cluster_bits));
  std::vector<std::byte> block(cluster_size);
  for (std::uint64_t i = 0; i < blocks; ++i) {
    const std::uint64_t index = (first >> per_block_bits_) + i;
    std::ranges::fill(block, std::byte{0});
    for (std::uint64_t n = 0; n < per_block(); ++n) {
      const std::uint64_t cluster = (index << per_block_bits_) + n;
      if (cluster >= first && cluster < area_end) set_bits(block, n, order_, 1);
    }
    const std::uint64_t offset = (first + i) << layout_->header.cluster_bits;
    cache_.forget(offset, cluster_size);
    MOTE_CHECK(layout_->file.write_bytes(block, offset));
    table[index] = offset;
  }
  blank_ = std::max(blank_, area_end);
  return switch_table((first + blocks) << layout_->header.cluster_bits, std::move(table));
}

Result<void> Refcounts::switch_table(std::uint64_t offset, std::vector<std::uint64_t> table) {
  std::vector<std::byte> bytes(table.size() * kEntrySize);
  for (std::size_t i = 0; i < table.size(); ++i) {
    store<std::uint64_t>(bytes, i * kEntrySize, table[i]);
  }
  MOTE_CHECK(layout_->file.write_bytes(bytes, offset));
  const auto clusters = static_cast<std::uint32_t>(bytes.size() / layout_->cluster_size());
  // Offset and length lie side by side in the header: one write switches.
  std::array<std::byte, 12> field{};
  store<std::uint64_t>(field, 0, offset);
  store<std::uint32_t>(field, 8, clusters);
  MOTE_CHECK(layout_->file.write_bytes(field, kRefcountTableField));
  Header& header = layout_->header;
  const std::uint64_t old = std::exchange(header.refcount_table_offset, offset);
  const std::uint64_t old_clusters = std::exchange(header.refcount_table_clusters, clusters);
  table_ = std::move(table);
  sort_blocks();
  return release(old, old_clusters);
}

}  // namespace mote::storage::qcow2
