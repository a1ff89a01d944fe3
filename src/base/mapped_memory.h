// MappedMemory owns one mmap(2) mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace mote {

class MappedMemory {
 public:
  MappedMemory() = default;
  MappedMemory(MappedMemory&& other) noexcept;
  MappedMemory& operator=(MappedMemory&& other) noexcept;
  MappedMemory(const MappedMemory&) = delete;
  MappedMemory& operator=(const MappedMemory&) = delete;
  ~MappedMemory();

  // mmap(2) of `size` bytes (more than 0) with `protection`, `flags`, and `fd` at `offset` (-1 with
  // MAP_ANONYMOUS).
  static Result<MappedMemory> map(std::size_t size, int protection, int flags, int fd = -1,
                                  std::uint64_t offset = 0);
  // As map(), starting at a multiple of `alignment`, a power of two of at least a page.
  static Result<MappedMemory> map_aligned(std::size_t size, std::size_t alignment, int protection,
                                          int flags, int fd = -1, std::uint64_t offset = 0);

  // Takes ownership of [data, data + size), whatever is mapped there or will be.
  static MappedMemory adopt(std::byte* data, std::size_t size) { return {data, size}; }

  // Unmaps what is behind the first `size` bytes, whole pages.
  void truncate(std::size_t size);

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedMemory(std::byte* data, std::size_t size) : data_(data), size_(size) {}

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace mote
