#include "snapshot/memory_file.h"

#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "base/unique_fd.h"

namespace mote::snapshot {
namespace {

using memory::kPageSize;

// Looked at in one go. A block that can be unplugged is no smaller.
constexpr std::uint64_t kChunk = 2 << 20;
constexpr std::size_t kChunkPages = kChunk / kPageSize;

bool is_zero(const std::byte* page) {
  static constexpr std::array<std::byte, kPageSize> kZeros{};
  return std::memcmp(page, kZeros.data(), kZeros.size()) == 0;
}

// Which pages of a chunk need not be looked at: those that have never been touched. With swap, a
// page that is not there may be on disk.
class Untouched {
 public:
  explicit Untouched(memory::Backing backing) {
    struct sysinfo host{};
    const bool swaps = ::sysinfo(&host) < 0 || host.totalswap != 0;
    can_tell_ = !swaps &&
                (backing == memory::Backing::kAnonymous || backing == memory::Backing::kHugetlb2M);
  }
  void look(const iovec& chunk) {
    known_ = can_tell_ && ::mincore(chunk.iov_base, chunk.iov_len, resident_.data()) == 0;
  }
  bool operator[](std::size_t page) const { return known_ && (resident_[page] & 1) == 0; }

 private:
  bool can_tell_ = false;
  bool known_ = false;
  std::array<unsigned char, kChunkPages> resident_{};
};

Result<void> write_chunk(const iovec& chunk, Untouched& untouched, int fd, std::uint64_t offset) {
  untouched.look(chunk);
  const auto* const bytes = static_cast<const std::byte*>(chunk.iov_base);
  const std::size_t pages = chunk.iov_len / kPageSize;
  std::size_t run = 0;  // the first page of those that are to be written
  for (std::size_t page = 0; page <= pages; ++page) {
    const bool wanted = page < pages && !untouched[page] && !is_zero(bytes + page * kPageSize);
    if (wanted) continue;
    if (page > run) {
      const std::span part(bytes + run * kPageSize, (page - run) * kPageSize);
      MOTE_CHECK(write_at(fd, part, offset + run * kPageSize));
    }
    run = page + 1;
  }
  return {};
}

}  // namespace

std::vector<MemoryPart> parts_of(const memory::GuestMemory& memory) {
  std::vector<MemoryPart> parts;
  for (const memory::Range& range : memory.contents()) {
    parts.push_back({.start = range.start, .size = range.size});
  }
  return parts;
}

std::uint64_t size_of(const std::vector<MemoryPart>& parts) {
  return std::accumulate(parts.begin(), parts.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const MemoryPart& part) { return sum + part.size; });
}

Result<void> write_memory(const memory::GuestMemory& memory, int fd) {
  const std::vector<MemoryPart> parts = parts_of(memory);
  if (::ftruncate(fd, static_cast<off_t>(size_of(parts))) < 0) {
    return fail_errno(errno, "make the file {} bytes long", size_of(parts));
  }
  Untouched untouched(memory.config().backing);
  std::uint64_t offset = 0;
  for (const MemoryPart& part : parts) {
    for (std::uint64_t at = 0; at < part.size; at += kChunk) {
      const std::uint64_t length = std::min(kChunk, part.size - at);
      // What is unplugged is not found.
      const auto slice = memory.find(part.start + at, length, memory::Access::kRead);
      if (slice) {
        MOTE_CHECK(write_chunk(slice->lend_for_reading(), untouched, fd, offset + at));
      }
    }
    offset += part.size;
  }
  return {};
}

}  // namespace mote::snapshot
