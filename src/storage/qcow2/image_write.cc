// How an image is changed. The order of the writes is in image.h.
#include <algorithm>
#include <array>

#include "base/log.h"
#include "storage/disk.h"
#include "storage/qcow2/compressed.h"
#include "storage/qcow2/image.h"

namespace mote::storage::qcow2 {

Result<void> Image::begin_change() {
  if (changed_) return {};
  // Whoever changes an image without knowing what an autoclear bit stands for (bitmaps) clears it,
  // so that nobody trusts that any more.
  if (layout_.header.version >= 3 && layout_.header.autoclear != 0) {
    constexpr std::array<std::byte, 8> kNone{};
    MOTE_CHECK(file_->write_bytes(kNone, kAutoclearField));
    layout_.header.autoclear = 0;
  }
  changed_ = true;
  return {};
}

Result<void> Image::write(std::span<iovec> buffers, std::uint64_t offset) {
  MOTE_CHECK(begin_change());
  Cursor cursor(buffers);
  while (cursor.left() > 0) {
    MOTE_TRY(const Extent extent, mapping_->find(offset, cursor.left()));
    if (extent.is_ours_alone) {
      MOTE_CHECK(file_->write(cursor.take(extent.length), extent.offset));
      offset += extent.length;
    } else {
      MOTE_TRY(const std::uint64_t written, write_new(extent, cursor, offset));
      offset += written;
    }
  }
  return {};
}

// Writes as much of `extent` as fits into a run of new clusters; returns the bytes.
Result<std::uint64_t> Image::write_new(const Extent& extent, Cursor& cursor, std::uint64_t offset) {
  const std::uint64_t cluster_size = layout_.cluster_size();
  const std::uint64_t inside = offset & (cluster_size - 1);
  const std::uint64_t first = layout_.cluster_of(offset);
  MOTE_TRY(const ClusterRun run, refcounts_->allocate(mapping_->in_one_slice(
                                     first, divide_up(inside + extent.length, cluster_size))));
  const std::uint64_t length = std::min(extent.length, run.clusters * cluster_size - inside);
  auto filled = fill(run, extent, cursor.take(length), offset, length);
  if (!filled) {
    release_range(run.offset, run.offset + run.clusters * cluster_size);
    return detail::take_error(filled);
  }
  MOTE_TRY(const auto before, mapping_->entries(first, run.clusters));
  std::vector<std::uint64_t> entries(run.clusters);
  for (std::uint64_t i = 0; i < run.clusters; ++i) {
    entries[i] = (run.offset + i * cluster_size) | kCopied;
  }
  MOTE_CHECK(mapping_->set(first, entries, *refcounts_));
  release(before);
  return length;
}

// New clusters get the data, and around it what the disk holds there now.
Result<void> Image::fill(const ClusterRun& run, const Extent& extent, std::span<iovec> buffers,
                         std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t inside = offset & (layout_.cluster_size() - 1);
  const bool zeros = reads_as_zeros(extent);
  if (zeros && run.blank) return file_->write(buffers, run.offset + inside);
  std::vector<std::byte> head(inside);
  std::vector<std::byte> tail(run.clusters * layout_.cluster_size() - inside - length);
  std::vector<iovec> whole;
  whole.reserve(buffers.size() + 2);
  if (!head.empty()) whole.push_back({head.data(), head.size()});
  whole.insert(whole.end(), buffers.begin(), buffers.end());
  if (!tail.empty()) whole.push_back({tail.data(), tail.size()});
  if (!zeros) {
    iovec before{head.data(), head.size()};
    MOTE_CHECK(read(std::span(&before, 1), offset - inside));
    iovec after{tail.data(), tail.size()};
    MOTE_CHECK(read(std::span(&after, 1), offset + length));
  }
  return file_->write(whole, run.offset);
}

// What nothing points to any more. A failure here leaks room in the file, and hurts nobody.
// ------------------------------------------------------------------------------------------------

void Image::release_range(std::uint64_t begin, std::uint64_t end) {
  const std::uint64_t first = layout_.cluster_of(begin);
  const std::uint64_t count = layout_.cluster_of(end - 1) - first + 1;
  auto released = refcounts_->release(first << layout_.header.cluster_bits, count);
  if (released || leaks_) return;
  leaks_ = true;
  log::warning("a qcow2 image leaks clusters: {}", released.error().text());
}

void Image::release(std::span<const std::uint64_t> entries) {
  const std::uint64_t cluster_size = layout_.cluster_size();
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  for (const std::uint64_t entry : entries) {
    if ((entry & kCompressed) != 0) {
      if (entry == decompressed_entry_) decompressed_entry_ = 0;
      const auto place = compressed_place(entry, layout_.header.cluster_bits);
      release_range(place.offset, place.offset + place.length);
      continue;
    }
    const std::uint64_t offset = entry & kOffsetMask;
    if (offset == 0) continue;
    if (offset != end) {
      if (end != begin) release_range(begin, end);
      begin = offset;
    }
    end = offset + cluster_size;
  }
  if (end != begin) release_range(begin, end);
}

// Zeroes and discards
// ------------------------------------------------------------------------------------------------

Result<void> Image::write_zeroes(std::uint64_t offset, std::uint64_t length, bool may_unmap) {
  return clear(offset, length, may_unmap ? Clear::kZeroes : Clear::kZeroesKeepRoom);
}

Result<void> Image::discard(std::uint64_t offset, std::uint64_t length) {
  return clear(offset, length, Clear::kDiscard);
}

Result<void> Image::write_zero_bytes(std::uint64_t offset, std::uint64_t length) {
  while (length > 0) {
    MOTE_TRY(const Extent extent, mapping_->find(offset, std::min(length, kMostZeroes)));
    if (!reads_as_zeros(extent)) {
      std::vector<iovec> zeros;
      append_zeroes(extent.length, zeros);
      MOTE_CHECK(write(zeros, offset));
    }
    offset += extent.length;
    length -= extent.length;
  }
  return {};
}

Result<void> Image::clear(std::uint64_t offset, std::uint64_t length, Clear how) {
  MOTE_CHECK(begin_change());
  const std::uint64_t cluster_size = layout_.cluster_size();
  const std::uint64_t size = layout_.header.size;
  const std::uint64_t end = offset + length;
  const std::uint64_t first = divide_up(offset, cluster_size);
  // The disk's last cluster may reach past its end, where nothing is.
  const std::uint64_t last =
      end >= size - size % kSectorSize ? divide_up(end, cluster_size) : end / cluster_size;
  if (first >= last)
    return how == Clear::kDiscard ? Result<void>{} : write_zero_bytes(offset, length);
  if (how != Clear::kDiscard) {
    MOTE_CHECK(write_zero_bytes(offset, first * cluster_size - offset));
    const std::uint64_t cleared_to = std::min(end, last * cluster_size);
    MOTE_CHECK(write_zero_bytes(cleared_to, end - cleared_to));
  }
  for (std::uint64_t cluster = first; cluster < last;) {
    const std::uint64_t count = mapping_->in_one_slice(cluster, last - cluster);
    MOTE_CHECK(clear_clusters(cluster, count, how));
    cluster += count;
  }
  return {};
}

// What an entry becomes; nothing: only writing zeros helps.
std::optional<std::uint64_t> Image::cleared(std::uint64_t entry, Clear how) const {
  const bool absent = (entry & (kCompressed | kZero | kOffsetMask)) == 0;
  const bool nothing_below = backing_ == nullptr;
  if (absent && (nothing_below || how == Clear::kDiscard)) return entry;
  if (how == Clear::kZeroesKeepRoom && layout_.header.version >= 3) {
    const bool ours = (entry & kCompressed) == 0 && (entry & kCopied) != 0;
    if (ours && (entry & kOffsetMask) != 0) return entry | kZero;
  }
  if (nothing_below) return 0;
  if (layout_.header.version >= 3) return kZero;
  if (how == Clear::kDiscard) return entry;
  return std::nullopt;
}

Result<void> Image::clear_clusters(std::uint64_t cluster, std::uint64_t count, Clear how) {
  MOTE_TRY(const auto before, mapping_->entries(cluster, count));
  std::vector<std::uint64_t> after(count);
  std::vector<std::uint64_t> gone;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto entry = cleared(before[i], how);
    if (!entry) {
      const unsigned bits = layout_.header.cluster_bits;
      const std::uint64_t offset = cluster << bits;
      return write_zero_bytes(offset, std::min(count << bits, layout_.header.size - offset));
    }
    after[i] = *entry;
    if (after[i] != before[i] && (after[i] & kOffsetMask) == 0) gone.push_back(before[i]);
  }
  if (before == after) return {};
  MOTE_CHECK(mapping_->set(cluster, after, *refcounts_));
  release(gone);
  return {};
}

}  // namespace mote::storage::qcow2
