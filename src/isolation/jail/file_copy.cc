#include "isolation/jail/file_copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <memory>
#include <span>

namespace mote::isolation::jail {

bool share_blocks(const UniqueFd& from, const UniqueFd& to) {
  return ::ioctl(to.get(), FICLONE, from.get()) == 0;
}

// By pieces of a size that stays in the processor's cache: the kernel's own ways (copy_file_range,
// sendfile) take a third longer for a file like a monitor.
Result<void> copy_file(const UniqueFd& from, const UniqueFd& to, std::uint64_t size) {
  constexpr std::size_t kPiece = 128 << 10;
  // All blocks at once, a fifth of the time less than one after the other: for a filesystem that
  // cannot, they come as they are written.
  const int made = ::fallocate(to.get(), 0, 0, static_cast<off_t>(size));
  if (made < 0 && errno == ENOSPC) return fail_errno(errno, "room for {} bytes", size);
  const auto piece = std::make_unique_for_overwrite<std::byte[]>(kPiece);
  for (std::uint64_t offset = 0; offset < size;) {
    MOTE_TRY(const std::size_t count, read_at(from.get(), std::span(piece.get(), kPiece), offset));
    if (count == 0) return fail(ErrorKind::kIo, "the file shrank while it was copied");
    MOTE_CHECK(write_all(to.get(), std::span(piece.get(), count)));
    offset += count;
  }
  return {};
}

}  // namespace mote::isolation::jail
