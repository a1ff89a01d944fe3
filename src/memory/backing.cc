#include "memory/backing.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"

namespace mote::memory {

std::uint64_t page_size(Backing backing) {
  return backing == Backing::kHugetlb2M ? kHugePageSize : kPageSize;
}

Result<void> check_ranges(const MemoryConfig& config) {
  const std::uint64_t page = page_size(config.backing);
  GuestAddress end = 0;
  if (config.ranges.empty()) return fail(ErrorKind::kInvalid, "guest memory has no range");
  for (const Range& range : config.ranges) {
    if (range.size == 0 || range.start % page != 0 || range.size % page != 0) {
      return fail(ErrorKind::kInvalid,
                  "guest memory of {} bytes at {:#x} must start and end at a multiple of {} bytes",
                  range.size, range.start, page);
    }
    if (range.start < end || range.size > UINT64_MAX - range.start) {
      return fail(ErrorKind::kInvalid,
                  "guest memory of {} bytes at {:#x} overlaps what comes before it", range.size,
                  range.start);
    }
    end = range.end();
  }
  return {};
}

Result<MappedMemory> map_region(const MemoryConfig& config, const Range& range, int file,
                                std::uint64_t file_offset) {
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  switch (config.backing) {
    case Backing::kMemfd:
      return MappedMemory::map_aligned(range.size, alignment_for(range.size), kProtection,
                                       MAP_SHARED | MAP_NORESERVE, file, file_offset);
    case Backing::kFile:
      return MappedMemory::map_aligned(range.size, kHugePageSize, kProtection,
                                       MAP_PRIVATE | MAP_NORESERVE, file, file_offset);
    case Backing::kHugetlb2M:
      // Reserved at once: a pool that is too small is an error here, not a SIGBUS in the guest.
      return MappedMemory::map(range.size, kProtection,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB);
    case Backing::kAnonymous:
      break;
  }
  return MappedMemory::map_aligned(range.size, kHugePageSize, kProtection,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
}

std::string_view source_of(Backing backing) {
  if (backing == Backing::kFile) return "the snapshot's file";
  if (backing != Backing::kHugetlb2M) return "the host's memory";
  return "the host's pool of 2 MiB huge pages (see /proc/sys/vm/nr_hugepages)";
}

std::uint64_t total_of(const MemoryConfig& config) {
  std::uint64_t total = 0;
  for (const Range& range : config.ranges) total += range.size;
  return total;
}

Result<UniqueFd> make_memfd(std::uint64_t size, bool sealable) {
  UniqueFd fd(::memfd_create("guest-memory", MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0)));
  if (!fd) return fail_errno(errno, "create a memfd for guest memory");
  // Not ftruncate(2): a served machine makes some as well, and its filter allows one call less.
  // What grew has no page yet, which tells layers what each of them has.
  MOTE_CHECK_WITHIN(extend_file(fd.get(), size), "the memfd of guest memory");
  if (::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  static_cast<off_t>(size)) < 0) {
    return fail_errno(errno, "size the memfd of guest memory to {} bytes", size);
  }
  return fd;
}

void advise(const MemoryConfig& config, std::span<std::byte> memory) {
  // Names the mapping in /proc/PID/maps where the kernel can; nothing depends on it.
  if (config.backing != Backing::kFile) {
    ::prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, memory.data(), memory.size(), "guest-memory");
  }
  // The default of a host may be huge pages everywhere: a guest's first touch would then cost 2
  // MiB.
  if (config.backing != Backing::kHugetlb2M) {
    ::madvise(memory.data(), memory.size(),
              config.transparent_huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  }
  ::madvise(memory.data(), memory.size(), MADV_DONTDUMP);
}

bool discard_pages(std::byte* start, std::uint64_t size, Backing backing) {
  if (backing == Backing::kFile) {
    // A page of the file would be there again: zeros take its place. Neighbours become one mapping.
    if (::mmap(start, size, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
      return false;
    }
    ::madvise(start, size, MADV_NOHUGEPAGE);
    ::madvise(start, size, MADV_DONTDUMP);
    return true;
  }
  // A page of a memfd stays in the file unless a hole is made; private pages just go.
  return ::madvise(start, size, backing == Backing::kMemfd ? MADV_REMOVE : MADV_DONTNEED) == 0;
}

}  // namespace mote::memory
