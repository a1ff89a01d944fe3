#include "storage/qcow2/image.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "storage/qcow2/compressed.h"
#include "storage/qcow2/decompress.h"

namespace mote::storage::qcow2 {
namespace {

Result<Header> read_header(ImageFile& file) {
  std::array<std::byte, 24> start{};
  if (file.size() < start.size()) {
    return fail(ErrorKind::kInvalid, "it is no qcow2 image: it has {} bytes", file.size());
  }
  MOTE_CHECK(file.read_bytes(start, 0));
  MOTE_TRY(const std::uint64_t room, header_room(start));
  std::vector<std::byte> bytes(std::min(room, file.size()));
  MOTE_CHECK(file.read_bytes(bytes, 0));
  return parse_header(bytes, file.size());
}

}  // namespace

Image::Image(std::unique_ptr<ImageFile> file, Header header)
    : file_(std::move(file)), layout_{.file = *file_, .header = std::move(header)} {}

Image::~Image() = default;

Result<std::unique_ptr<Image>> Image::open(std::unique_ptr<ImageFile> file, Access access) {
  MOTE_TRY(Header header, read_header(*file));
  std::unique_ptr<Image> image(new Image(std::move(file), std::move(header)));
  if (access == Access::kReadWrite) {
    MOTE_CHECK(image->check_writable());
    MOTE_TRY(image->refcounts_, Refcounts::read(image->layout_));
  }
  MOTE_TRY(image->mapping_, Mapping::read(image->layout_));
  return image;
}

Result<void> Image::check_writable() const {
  const Header& header = layout_.header;
  if (header.corrupt()) {
    return fail(ErrorKind::kInvalid,
                "the image is marked as corrupt; it can be opened read-only, or be repaired with "
                "qemu-img check -r all");
  }
  if (header.dirty()) {
    return fail(ErrorKind::kInvalid,
                "the image is marked as dirty: its refcounts may be wrong; it can be opened "
                "read-only, or be repaired with qemu-img check -r all");
  }
  struct Table {
    std::uint64_t offset;
    std::uint64_t length;
  };
  const Table tables[] = {
      {.offset = 0, .length = layout_.cluster_size()},
      {.offset = header.l1_offset, .length = header.l1_entries * kEntrySize},
      {.offset = header.refcount_table_offset,
       .length = header.refcount_table_clusters * layout_.cluster_size()},
      {.offset = header.snapshots_offset, .length = header.snapshots == 0 ? 0ULL : 1ULL}};
  for (const Table& one : tables) {
    for (const Table& other : tables) {
      if (&one == &other || one.length == 0 || other.length == 0) continue;
      if (one.offset < other.offset + other.length && other.offset < one.offset + one.length) {
        return fail(ErrorKind::kInvalid,
                    "the image is corrupt: its tables at {:#x} and {:#x} overlap", one.offset,
                    other.offset);
      }
    }
  }
  return {};
}

bool Image::reads_as_zeros(const Extent& extent) const {
  return extent.kind == Kind::kZero || (extent.kind == Kind::kAbsent && backing_ == nullptr);
}

Result<void> Image::read(std::span<iovec> buffers, std::uint64_t offset) {
  Cursor cursor(buffers);
  while (cursor.left() > 0) {
    const std::uint64_t size = layout_.header.size;
    if (offset >= size) {
      fill_zeros(cursor.take(cursor.left()));
      break;
    }
    MOTE_TRY(const Extent extent, mapping_->find(offset, std::min(cursor.left(), size - offset)));
    MOTE_CHECK(read_extent(extent, cursor.take(extent.length), offset));
    offset += extent.length;
  }
  return {};
}

std::optional<std::uint64_t> Image::place_of_data(std::uint64_t offset, std::uint64_t length,
                                                  bool to_write) {
  if (length == 0 || (to_write && !changed_)) return std::nullopt;
  const auto extent = mapping_->find(offset, length);
  if (!extent || extent->kind != Kind::kData || extent->length < length) return std::nullopt;
  if (to_write && !extent->is_ours_alone) return std::nullopt;
  return extent->offset;
}

Result<void> Image::read_extent(const Extent& extent, std::span<iovec> buffers,
                                std::uint64_t offset) {
  switch (extent.kind) {
    case Kind::kData:
      return file_->read(buffers, extent.offset);
    case Kind::kAbsent:
      if (backing_ != nullptr) return backing_->read(buffers, offset);
      break;
    case Kind::kZero:
      break;
    case Kind::kCompressed: {
      MOTE_TRY(auto from, decompressed(extent.entry));
      from = from.subspan(offset & (layout_.cluster_size() - 1));
      for (const iovec& buffer : buffers) {
        std::memcpy(buffer.iov_base, from.data(), buffer.iov_len);
        from = from.subspan(buffer.iov_len);
      }
      return {};
    }
  }
  fill_zeros(buffers);
  return {};
}

Result<std::span<const std::byte>> Image::decompressed(std::uint64_t entry) {
  if (entry == decompressed_entry_) return std::span<const std::byte>(decompressed_);
  const CompressedPlace place = compressed_place(entry, layout_.header.cluster_bits);
  if (place.offset >= file_->size() || layout_.is_reserved(place.offset, place.length)) {
    return fail(ErrorKind::kIo, "the image is corrupt: a compressed cluster is at {:#x}",
                place.offset);
  }
  std::vector<std::byte> from(place.length);
  MOTE_CHECK(file_->read_bytes(from, place.offset));
  decompressed_entry_ = 0;
  decompressed_.resize(layout_.cluster_size());
  MOTE_CHECK(decompress(layout_.header.zstd, from, decompressed_));
  decompressed_entry_ = entry;
  return std::span<const std::byte>(decompressed_);
}

}  // namespace mote::storage::qcow2
