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
  const auto behind_boundary = [&](const std::byte* start) {
    return reinterpret_cast<std::uintptr_t>(start) % alignment;
  };
  const auto reserve = [](std::size_t room) {
    return static_cast<std::byte*>(
        ::mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  };
  // Linux lays what is large at a huge page's boundary (from 6.7 on), and nothing needs to be
  // given back. Else reserve enough to find an aligned start inside, lay the mapping over it and
  // give the ends back.
  std::size_t spare = 0;
  std::byte* begin = reserve(size);
  if (begin != MAP_FAILED && behind_boundary(begin) != 0) {
    ::munmap(begin, size);
    spare = alignment;
    begin = reserve(size + spare);
  }
  if (begin == MAP_FAILED) return fail_errno(errno, "reserve {} bytes of addresses", size);
  const std::size_t lead = (alignment - behind_boundary(begin)) % alignment;
  void* data =
      ::mmap(begin + lead, size, protection, flags | MAP_FIXED, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) {
    const int code = errno;
    ::munmap(begin, size + spare);
    return fail_errno(code, "map {} bytes", size);
  }
  if (lead > 0) ::munmap(begin, lead);
  if (spare > lead) ::munmap(begin + lead + size, spare - lead);
  return MappedMemory(static_cast<std::byte*>(data), size);
}

}  // namespace mote
