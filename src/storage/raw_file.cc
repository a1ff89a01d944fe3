#include "storage/raw_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

#include "base/file.h"
#include "base/log.h"

namespace mote::storage {
namespace {

// Blocks larger than this are nobody's, and no guest's page holds one.
constexpr std::uint32_t kMostBlock = 4096;

// A value that an ioctl gives of a block device; 0 where it does not.
std::uint32_t ask_device(int fd, unsigned long what) {
  unsigned value = 0;
  return ::ioctl(fd, what, &value) < 0 ? 0 : value;
}

// A power of two from a sector to kMostBlock; what the host says otherwise is ignored.
std::uint32_t sane_block(std::uint64_t bytes) {
  return std::has_single_bit(bytes) && bytes >= kSectorSize && bytes <= kMostBlock
             ? static_cast<std::uint32_t>(bytes)
             : std::uint32_t{kSectorSize};
}

DiskTraits describe(const DiskFile& file, Access access) {
  const int fd = file.fd.get();
  DiskTraits traits;
  traits.can_discard = access == Access::kReadWrite;
  if (file.block_device) {
    traits.physical_block_size = sane_block(ask_device(fd, BLKPBSZGET));
    traits.optimal_io_size = ask_device(fd, BLKIOOPT);
  } else if (struct stat status{}; look_at(fd, status)) {
    traits.physical_block_size = sane_block(static_cast<std::uint64_t>(status.st_blksize));
  }
  traits.discard_granularity = traits.physical_block_size;
  return traits;
}

struct DirectAlignment {
  std::uint32_t buffer = 0;
  std::uint32_t offset = 0;
};

// What direct I/O asks for, as the kernel says it, or by trying where it does not.
Result<DirectAlignment> direct_alignment(const std::string& path, int fd) {
  struct statx status{};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
      (status.stx_mask & STATX_DIOALIGN) != 0 && status.stx_dio_offset_align != 0) {
    return DirectAlignment{.buffer = status.stx_dio_mem_align,
                           .offset = status.stx_dio_offset_align};
  }
  alignas(kMostBlock) std::array<std::byte, kMostBlock> block;
  for (std::uint32_t size = kSectorSize; size <= kMostBlock; size *= 2) {
    const iovec buffer{block.data(), size};
    if (read_buffers(fd, std::span(&buffer, 1), 0) >= 0) return DirectAlignment{size, size};
    if (errno != EINVAL) break;
  }
  return fail(ErrorKind::kUnsupported,
              "'{}' cannot be read around the host's page cache in blocks of up to {} bytes; leave "
              "direct out",
              path, kMostBlock);
}

Result<void> align(RawFile& file) {
  MOTE_TRY(const DirectAlignment found, direct_alignment(file.path, file.fd.get()));
  if (!std::has_single_bit(found.offset) || !std::has_single_bit(found.buffer) ||
      found.offset > kMostBlock || found.buffer > kMostBlock) {
    return fail(ErrorKind::kUnsupported,
                "'{}' wants direct I/O aligned to {} bytes, its buffers to {}; {} are the most",
                file.path, found.offset, found.buffer, kMostBlock);
  }
  file.buffer_alignment = found.buffer;
  file.traits.block_size = std::max(found.offset, std::uint32_t{kSectorSize});
  file.traits.physical_block_size =
      std::max(file.traits.physical_block_size, file.traits.block_size);
  return {};
}

}  // namespace

Result<RawFile> RawFile::open(const std::string& path, Access access, Cache cache) {
  auto opened = open_disk_file(path, access, cache == Cache::kDirect ? O_DIRECT : 0);
  if (!opened && cache == Cache::kDirect && opened.error().kind() == ErrorKind::kInvalid) {
    return fail(ErrorKind::kUnsupported,
                "{}: is its filesystem without direct I/O? Leave direct out",
                opened.error().text());
  }
  MOTE_TRY(DiskFile found, std::move(opened));
  RawFile file;
  file.path = path;
  file.access = access;
  file.traits = describe(found, access);
  file.in_memory = !found.block_device && is_in_memory(found.fd.get());
  file.fd = std::move(found.fd);
  file.identity = std::move(found.identity);
  if (cache == Cache::kDirect) MOTE_CHECK(align(file));
  MOTE_CHECK(file.refresh());
  return file;
}

Result<void> RawFile::refresh() {
  MOTE_TRY(const std::uint64_t bytes, disk_file_size(path, fd.get()));
  const std::uint64_t rest = bytes % traits.block_size;
  if (rest != 0) {
    log::warning("disk '{}' has {} bytes, not a multiple of {}: the last {} are out of reach", path,
                 bytes, traits.block_size, rest);
  }
  size = bytes - rest;
  return {};
}

}  // namespace mote::storage
