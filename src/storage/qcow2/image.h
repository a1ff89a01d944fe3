// Image is an open qcow2 image: it reads and changes what its disk holds, one call after the other.
//
// A write that needs new clusters goes to the file in this order: the clusters' refcounts, the
// data, the L2 entries that point to it; what the entries pointed to before is let go last. A
// process that dies in between leaves an image with clusters that nothing refers to, and nothing
// worse. Only flush() says what a host that loses its power keeps.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "storage/cursor.h"
#include "storage/image_file.h"
#include "storage/qcow2/layout.h"
#include "storage/qcow2/mapping.h"
#include "storage/qcow2/refcounts.h"

namespace mote::storage::qcow2 {

// What an image is laid over: where the image has nothing, this is read.
class Backing {
 public:
  virtual ~Backing() = default;
  // Past its end it reads as zeros. The list is changed on the way.
  virtual Result<void> read(std::span<iovec> buffers, std::uint64_t offset) = 0;
};

class RawBacking final : public Backing {
 public:
  explicit RawBacking(std::unique_ptr<ImageFile> file) : file_(std::move(file)) {}
  Result<void> read(std::span<iovec> buffers, std::uint64_t offset) override {
    return file_->read(buffers, offset);
  }

 private:
  std::unique_ptr<ImageFile> file_;
};

class Image final : public Backing {
 public:
  // Reads and checks the header and the tables that are kept in memory. An image that names a
  // backing file needs set_backing() before it is read. Errors: those of parse_header(); kInvalid
  // for an image that is to be written and is marked as dirty or corrupt, or whose tables overlap.
  static Result<std::unique_ptr<Image>> open(std::unique_ptr<ImageFile> file, Access access);
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image() override;

  const Header& header() const { return layout_.header; }
  void set_backing(std::unique_ptr<Backing> backing) { backing_ = std::move(backing); }

  Result<void> read(std::span<iovec> buffers, std::uint64_t offset) override;
  // Where in the file a range of the disk is read, or written, as it is; nothing: it takes more
  // than that, or an error, which read() or write() tells.
  std::optional<std::uint64_t> place_of_data(std::uint64_t offset, std::uint64_t length,
                                             bool to_write);
  // The others need Access::kReadWrite, and a range inside the disk. Errors: no room on the host
  // (kResource), an I/O error or an image that turns out to be corrupt (kIo).
  Result<void> write(std::span<iovec> buffers, std::uint64_t offset);
  // The range reads as zeros afterwards; whole clusters are given back to the host, where
  // `may_unmap` or an older version of the format says so.
  Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length, bool may_unmap);
  // Gives whole clusters back to the host: they read as zeros, or as before where the format cannot
  // say that.
  Result<void> discard(std::uint64_t offset, std::uint64_t length);
  Result<void> flush() { return file_->sync(); }

 private:
  enum class Clear : std::uint8_t { kZeroes, kZeroesKeepRoom, kDiscard };

  Image(std::unique_ptr<ImageFile> file, Header header);

  Result<void> check_writable() const;
  Result<void> begin_change();
  Result<void> read_extent(const Extent& extent, std::span<iovec> buffers, std::uint64_t offset);
  Result<std::span<const std::byte>> decompressed(std::uint64_t entry);
  bool reads_as_zeros(const Extent& extent) const;

  Result<std::uint64_t> write_new(const Extent& extent, Cursor& cursor, std::uint64_t offset);
  Result<void> fill(const ClusterRun& run, const Extent& extent, std::span<iovec> buffers,
                    std::uint64_t offset, std::uint64_t length);
  Result<void> write_zero_bytes(std::uint64_t offset, std::uint64_t length);
  Result<void> clear(std::uint64_t offset, std::uint64_t length, Clear how);
  Result<void> clear_clusters(std::uint64_t cluster, std::uint64_t count, Clear how);
  std::optional<std::uint64_t> cleared(std::uint64_t entry, Clear how) const;
  void release(std::span<const std::uint64_t> entries);
  void release_range(std::uint64_t begin, std::uint64_t end);

  std::unique_ptr<ImageFile> file_;
  Layout layout_;
  std::optional<Mapping> mapping_;
  std::optional<Refcounts> refcounts_;  // of an image that may be written
  std::unique_ptr<Backing> backing_;
  bool changed_ = false;
  bool leaks_ = false;  // said so once
  // The cluster that was decompressed last, and its L2 entry; 0: none.
  std::uint64_t decompressed_entry_ = 0;
  std::vector<std::byte> decompressed_;
};

}  // namespace mote::storage::qcow2
