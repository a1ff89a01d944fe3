#include "storage/qcow2/mapping.h"

#include <algorithm>
#include <array>

namespace mote::storage::qcow2 {
namespace {

// 4 MiB of them map 32 GiB of disk in clusters of 64 KiB.
constexpr std::size_t kSlice = 4096;
constexpr std::size_t kMostBytes = std::size_t{4} << 20;

Kind kind_of(std::uint64_t entry) {
  if ((entry & kCompressed) != 0) return Kind::kCompressed;
  if ((entry & kZero) != 0) return Kind::kZero;
  return (entry & kOffsetMask) == 0 ? Kind::kAbsent : Kind::kData;
}

// Whether `next`, `distance` bytes on in the disk, goes on where `entry` began.
bool continues(std::uint64_t entry, std::uint64_t next, std::uint64_t distance) {
  const Kind kind = kind_of(entry);
  if (kind == Kind::kCompressed || kind_of(next) != kind) return false;
  if (kind != Kind::kData) return true;
  return (next & kOffsetMask) == (entry & kOffsetMask) + distance &&
         (next & kCopied) == (entry & kCopied);
}

std::size_t slice_size(const Layout& layout) {
  return std::min<std::size_t>(layout.cluster_size(), kSlice);
}

}  // namespace

Mapping::Mapping(Layout& layout, std::vector<std::uint64_t> l1)
    : layout_(&layout),
      l2_bits_(layout.header.cluster_bits - 3),
      l1_(std::move(l1)),
      cache_(layout.file, slice_size(layout), kMostBytes / slice_size(layout)) {}

Result<Mapping> Mapping::read(Layout& layout) {
  const Header& header = layout.header;
  // No more than the disk needs: what follows was left by a larger one.
  const std::uint64_t needed =
      divide_up(divide_up(header.size, header.cluster_size()), header.l2_entries());
  std::vector<std::byte> bytes(needed * kEntrySize);
  MOTE_CHECK(layout.file.read_bytes(bytes, header.l1_offset));
  std::vector<std::uint64_t> l1(needed);
  for (std::size_t i = 0; i < l1.size(); ++i) l1[i] = load<std::uint64_t>(bytes, i * kEntrySize);
  return Mapping(layout, std::move(l1));
}

Result<std::uint64_t> Mapping::place_of(std::uint64_t cluster) const {
  const std::uint64_t table = l1_[l1_index(cluster)] & kOffsetMask;
  if (table == 0) return 0;
  MOTE_CHECK(layout_->check_clusters("an L2 table", table, layout_->cluster_size()));
  return table + (cluster & ((std::uint64_t{1} << l2_bits_) - 1)) * kEntrySize;
}

std::uint64_t Mapping::in_one_slice(std::uint64_t cluster, std::uint64_t most) const {
  return std::min(most, per_slice() - cluster % per_slice());
}

Result<std::vector<std::uint64_t>> Mapping::entries(std::uint64_t cluster, std::uint64_t count) {
  std::vector<std::uint64_t> found(count);
  MOTE_TRY(const std::uint64_t place, place_of(cluster));
  if (place == 0) return found;
  const std::uint64_t inside = place % cache_.slice_size();
  MOTE_TRY(const auto slice, cache_.slice(place - inside));
  for (std::uint64_t i = 0; i < count; ++i) {
    found[i] = load<std::uint64_t>(slice, inside + i * kEntrySize);
  }
  return found;
}

Result<void> Mapping::check(std::uint64_t cluster, std::uint64_t entry) const {
  if (kind_of(entry) == Kind::kZero && layout_->header.version < 3) {
    return fail(ErrorKind::kIo,
                "the image is corrupt: version 2 has no zero clusters, and cluster {} is one",
                cluster);
  }
  return {};
}

Result<Extent> Mapping::find(std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t cluster_size = layout_->cluster_size();
  const std::uint64_t cluster = layout_->cluster_of(offset);
  const std::uint64_t inside = offset & (cluster_size - 1);
  MOTE_TRY(const std::uint64_t place, place_of(cluster));
  if (place == 0) {
    const std::uint64_t table = cluster_size << l2_bits_;  // what one maps
    return Extent{.kind = Kind::kAbsent, .length = std::min(length, table - offset % table)};
  }
  const std::uint64_t at = place % cache_.slice_size();
  MOTE_TRY(const auto slice, cache_.slice(place - at));
  const auto entry = load<std::uint64_t>(slice, at);
  MOTE_CHECK(check(cluster, entry));
  const std::uint64_t most = in_one_slice(cluster, divide_up(inside + length, cluster_size));
  std::uint64_t count = 1;
  while (count < most && continues(entry, load<std::uint64_t>(slice, at + count * kEntrySize),
                                   count * cluster_size)) {
    ++count;
  }
  Extent extent{.kind = kind_of(entry), .length = std::min(length, count * cluster_size - inside)};
  if (extent.kind == Kind::kCompressed) extent.entry = entry;
  if (extent.kind == Kind::kData) {
    const std::uint64_t start = entry & kOffsetMask;
    MOTE_CHECK(layout_->check_clusters("a cluster of data", start, count * cluster_size));
    extent.offset = start + inside;
    extent.is_ours_alone = (entry & kCopied) != 0 && (l1_[l1_index(cluster)] & kCopied) != 0;
  }
  return extent;
}

Result<void> Mapping::set(std::uint64_t cluster, std::span<const std::uint64_t> entries,
                          Refcounts& refcounts) {
  MOTE_CHECK(own_table(l1_index(cluster), refcounts));
  MOTE_TRY(const std::uint64_t place, place_of(cluster));
  std::vector<std::byte> bytes(entries.size() * kEntrySize);
  for (std::size_t i = 0; i < entries.size(); ++i) store(bytes, i * kEntrySize, entries[i]);
  return cache_.store(place, bytes);
}

Result<void> Mapping::own_table(std::uint64_t index, Refcounts& refcounts) {
  const std::uint64_t old = l1_[index] & kOffsetMask;
  if (old != 0 && (l1_[index] & kCopied) != 0) return {};
  std::vector<std::byte> table(layout_->cluster_size());
  if (old != 0) {
    MOTE_CHECK(layout_->check_clusters("an L2 table", old, layout_->cluster_size()));
    MOTE_CHECK(layout_->file.read_bytes(table, old));
  }
  MOTE_TRY(const ClusterRun run, refcounts.allocate(1));
  cache_.forget(run.offset, table.size());
  std::array<std::byte, kEntrySize> entry{};
  store<std::uint64_t>(entry, 0, run.offset | kCopied);
  // The table is whole before anything points to it.
  MOTE_CHECK(layout_->file.write_bytes(table, run.offset));
  MOTE_CHECK(layout_->file.write_bytes(entry, layout_->header.l1_offset + index * kEntrySize));
  l1_[index] = run.offset | kCopied;
  if (old == 0) return {};
  cache_.forget(old, table.size());
  return refcounts.release(old, 1);
}

}  // namespace mote::storage::qcow2
