#include "base/mapped_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace mote {

MappedMemory::MappedMemory(MappedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedMemory& MappedMemory::operator=(MappedMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedMemory::~MappedMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void MappedMemory::truncate(std::size_t size) {
  if (size < size_) ::munmap(data_ + size, size_ - size);
  size_ = std::min(size, size_);
  if (size_ == 0) data_ = nullptr;
}

Result<MappedMemory> MappedMemory::map(std::size_t size, int protection, int flags, int fd,
                                       std::uint64_t offset) {
  void* data = ::mmap(nullptr, size, protection, flags, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) return fail_errno(errno, "map {} bytes", size);
  return MappedMemory(static_cast<std::byte*>(data), size);
}

Result<MappedMemory> MappedMemory::map_aligned(std::size_t size, std::size_t alignment,
                                               int protection, int flags, int fd,
                                               std::uint64_t offset) {
  if (size > SIZE_MAX - alignment) {
    return fail(ErrorKind::kResource, "{} bytes are more than an address space holds", size);
  }
  // Reserve enough to find an aligned start inside, lay the mapping over it and give the ends back.
  void* reserved = ::mmap(nullptr, size + alignment, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return fail_errno(errno, "reserve {} bytes of addresses", size);
  auto* begin = static_cast<std::byte*>(reserved);
  const std::size_t lead =
      (alignment - reinterpret_cast<std::uintptr_t>(begin) % alignment) % alignment;
  void* data =
      ::mmap(begin + lead, size, protection, flags | MAP_FIXED, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) {
    const int code = errno;
    ::munmap(begin, size + alignment);
    return fail_errno(code, "map {} bytes", size);
  }
  if (lead > 0) ::munmap(begin, lead);
  if (alignment > lead) ::munmap(begin + lead + size, alignment - lead);
  return MappedMemory(static_cast<std::byte*>(data), size);
}

}  // namespace mote
