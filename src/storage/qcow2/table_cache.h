// TableCache keeps slices of an image's tables (L2, refcounts) in memory. A change goes to the file
// at once, so that nothing in here is ever newer than the file: the order of changes in the file is
// the order in which they were made.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "storage/image_file.h"

namespace mote::storage::qcow2 {

class TableCache {
 public:
  // Slices of `slice_size` bytes, at most `most` (at least 1) of them.
  TableCache(ImageFile& file, std::size_t slice_size, std::size_t most)
      : file_(&file), slice_size_(slice_size), most_(most) {}

  std::size_t slice_size() const { return slice_size_; }
  // The slice at `offset` of the file, a multiple of the slice's size. Good until the next call.
  Result<std::span<const std::byte>> slice(std::uint64_t offset);
  // Writes bytes inside one slice, to the file and to what is kept of it.
  Result<void> store(std::uint64_t offset, std::span<const std::byte> bytes);
  // The range is no table any more, or was written past this cache.
  void forget(std::uint64_t offset, std::uint64_t length);

 private:
  struct Slot {
    std::uint64_t offset = 0;  // in the file; 0, where the header is: none
    bool used = false;         // since the hand was here last
    std::unique_ptr<std::byte[]> bytes;
  };

  std::uint32_t take_slot();

  ImageFile* file_;
  std::size_t slice_size_;
  std::size_t most_;
  std::vector<Slot> slots_;
  std::unordered_map<std::uint64_t, std::uint32_t> places_;  // of offsets in slots_
  std::uint32_t hand_ = 0;
  std::uint32_t last_ = 0;  // the slot asked for last
};

}  // namespace mote::storage::qcow2
