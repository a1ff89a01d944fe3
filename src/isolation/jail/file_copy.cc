#include "isolation/jail/file_copy.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

#include <memory>
#include <span>

namespace mote::isolation::jail {
namespace {

// By pieces of a size that stays in the processor's cache: the kernel's own ways (copy_file_range,
// sendfile) take a third longer for a file like a monitor.
Result<void> copy(const UniqueFd& from, const UniqueFd& to, std::uint64_t size) {
  constexpr std::size_t kPiece = 128 << 10;
  const auto piece = std::make_unique_for_overwrite<std::byte[]>(kPiece);
  for (std::uint64_t offset = 0; offset < size;) {
    MOTE_TRY(const std::size_t count, read_at(from.get(), std::span(piece.get(), kPiece), offset));
    if (count == 0) return fail(ErrorKind::kIo, "the file shrank while it was copied");
    MOTE_CHECK(write_all(to.get(), std::span(piece.get(), count)));
    offset += count;
  }
  return {};
}

}  // namespace

FileCopy::FileCopy(const UniqueFd& from, UniqueFd to, std::uint64_t size)
    : to_(std::move(to)), size_(size) {
  if (::ioctl(to_.get(), FICLONE, from.get()) == 0) {
    done_ = Result<void>{};
    return;
  }
  auto own = from.duplicate();
  if (!own) {
    done_ = std::unexpected(std::move(own.error()));
    return;
  }
  from_ = std::move(*own);
  auto worker =
      Worker::start_elsewhere(ThreadKind::kWorker, [this] { done_ = copy(from_, to_, size_); });
  if (!worker) {
    done_ = std::unexpected(std::move(worker.error()));
    return;
  }
  worker_ = std::move(*worker);
}

Result<void> FileCopy::wait() {
  worker_.reset();
  to_.reset();
  if (!done_) return {};
  MOTE_CHECK_WITHIN(std::move(*done_), "copy the monitor into the jail");
  return {};
}

}  // namespace mote::isolation::jail
