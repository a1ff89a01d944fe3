#include "snapshot/memory_file.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>
#include <optional>
#include <span>

#include "base/file.h"
#include "base/unique_fd.h"
#include "base/zeros.h"
#include "snapshot/changed_pages.h"

namespace mote::snapshot {
namespace {

using memory::kPageSize;

// Which pages of a chunk need not be looked at: those that have never been touched. With swap, a
// page that is not there may be on disk.
class Untouched {
 public:
  explicit Untouched(memory::Backing backing) {
    can_tell_ = !memory::host_swaps() &&
                (backing == memory::Backing::kAnonymous || backing == memory::Backing::kMemfd ||
                 backing == memory::Backing::kHugetlb2M);
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

// What is done between two pieces of a file. What was written is flushed as it goes: a flush of all
// at the end would take seconds, in which its thread does nothing else and the process cannot end.
class Pace {
 public:
  Pace(int fd, const Between& between) : fd_(fd), between_(between) {}

  // Now that so many bytes more are written.
  Result<void> go_on(std::uint64_t written) {
    unflushed_ += written;
    if (unflushed_ >= kMostUnflushed) {
      if (::fsync(fd_) < 0) return fail_errno(errno, "flush what was written");
      unflushed_ = 0;
    }
    if (!between_) return {};
    const auto now = Clock::now();
    if (now - last_ < kPiece) return {};
    last_ = now;
    return between_();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::uint64_t kMostUnflushed = 32 << 20;
  static constexpr std::chrono::milliseconds kPiece{1};

  int fd_;
  const Between& between_;
  std::uint64_t unflushed_ = 0;
  Clock::time_point last_ = Clock::now();
};

// Writes the pages of a chunk that `wanted` wants, runs of them at once. How many bytes.
template <typename Wanted>
Result<std::uint64_t> write_runs(std::span<const std::byte> chunk, int fd, std::uint64_t offset,
                                 Wanted&& wanted) {
  const std::size_t pages = chunk.size() / kPageSize;
  std::uint64_t written = 0;
  std::size_t run = 0;  // the first page of those that are to be written
  for (std::size_t page = 0; page <= pages; ++page) {
    if (page < pages && wanted(page)) continue;
    if (page > run) {
      MOTE_CHECK(write_at(fd, chunk.subspan(run * kPageSize, (page - run) * kPageSize),
                          offset + run * kPageSize));
      written += (page - run) * kPageSize;
    }
    run = page + 1;
  }
  return written;
}

std::span<const std::byte> bytes_of(const iovec& part) {
  return {static_cast<const std::byte*>(part.iov_base), part.iov_len};
}

// What is shorter than `size` gets as long.
Result<void> make_as_long(int fd, std::uint64_t size) {
  struct stat facts{};
  if (!look_at(fd, facts)) return fail_errno(errno, "look at the file");
  return static_cast<std::uint64_t>(facts.st_size) < size ? extend_file(fd, size) : Result<void>{};
}

// Calls `each(start, length, host, offset)` for every chunk of memory, `host` where it is plugged;
// the file is as long as all of them before. Each says how many bytes it has written.
template <typename Each>
Result<void> each_chunk(const memory::GuestMemory& memory, int fd, const Between& between,
                        Each&& each) {
  Pace pace(fd, between);
  const std::vector<MemoryPart> parts = parts_of(memory);
  MOTE_CHECK(make_as_long(fd, size_of(parts)));
  std::uint64_t offset = 0;
  for (const MemoryPart& part : parts) {
    for (std::uint64_t at = 0; at < part.size; at += kChunk) {
      const std::uint64_t length = std::min(kChunk, part.size - at);
      std::optional<iovec> host;
      if (const auto slice = memory.find(part.start + at, length, memory::Access::kRead)) {
        host = slice->lend_for_reading();
      }
      MOTE_TRY(const std::uint64_t written, each(part.start + at, length, host, offset + at));
      MOTE_CHECK(pace.go_on(written));
    }
    offset += part.size;
  }
  return {};
}

}  // namespace

std::vector<MemoryPart> parts_of(const memory::GuestMemory& memory) {
  std::vector<MemoryPart> parts;
  for (const memory::RegionView& region : memory.contents()) {
    parts.push_back({.start = region.range.start, .size = region.range.size});
  }
  return parts;
}

std::uint64_t size_of(const std::vector<MemoryPart>& parts) {
  return std::accumulate(parts.begin(), parts.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const MemoryPart& part) { return sum + part.size; });
}

Result<void> write_memory(const memory::GuestMemory& memory, int fd, const Between& between) {
  Untouched untouched(memory.config().backing);
  return each_chunk(memory, fd, between,
                    [&](memory::GuestAddress, std::uint64_t, const std::optional<iovec>& host,
                        std::uint64_t offset) -> Result<std::uint64_t> {
                      if (!host) return 0;
                      untouched.look(*host);
                      const auto bytes = bytes_of(*host);
                      return write_runs(bytes, fd, offset, [&](std::size_t page) {
                        return !untouched[page] &&
                               !is_zero(bytes.subspan(page * kPageSize, kPageSize));
                      });
                    });
}

Result<void> write_changes(const memory::GuestMemory& memory, int fd, const Between& between) {
  ChangedPages changed(memory);
  // What is unplugged has become zeros.
  const std::vector<std::byte> zeros(kChunk);
  return each_chunk(memory, fd, between,
                    [&](memory::GuestAddress start, std::uint64_t length,
                        const std::optional<iovec>& host, std::uint64_t offset) {
                      changed.look(start, length, host);
                      const auto bytes = host ? bytes_of(*host) : std::span(zeros).first(length);
                      return write_runs(bytes, fd, offset,
                                        [&](std::size_t page) { return changed[page]; });
                    });
}

Result<void> lay_over(int diff, int base, const Between& between) {
  Pace pace(base, between);
  std::vector<std::byte> buffer(1 << 20);
  off_t at = 0;
  while ((at = ::lseek(diff, at, SEEK_DATA)) >= 0) {
    const off_t end = ::lseek(diff, at, SEEK_HOLE);
    if (end < 0) return fail_errno(errno, "find what the file has");
    while (at < end) {
      const auto wanted =
          std::span(buffer).first(std::min(buffer.size(), static_cast<std::size_t>(end - at)));
      MOTE_TRY(const std::size_t count, read_at(diff, wanted, static_cast<std::uint64_t>(at)));
      if (count < wanted.size()) {
        return fail(ErrorKind::kIo, "the file became shorter while it was copied");
      }
      MOTE_CHECK(write_at(base, wanted, static_cast<std::uint64_t>(at)));
      at += static_cast<off_t>(count);
      MOTE_CHECK(pace.go_on(count));
    }
  }
  // No data behind the last.
  if (errno != ENXIO) return fail_errno(errno, "find what the file has");
  return {};
}

Result<void> copy_file(int from, int fd, const Between& between) {
  if (::ioctl(fd, FICLONE, from) == 0) return {};
  struct stat facts{};
  if (!look_at(from, facts)) return fail_errno(errno, "look at the old file");
  MOTE_CHECK(make_as_long(fd, static_cast<std::uint64_t>(facts.st_size)));
  return lay_over(from, fd, between);
}

}  // namespace mote::snapshot
