#include "memory/layers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "memory/guest_memory.h"

namespace mote::memory {
namespace {

Result<void> check_file(int fd, std::size_t number, std::uint64_t total) {
  struct stat facts{};
  if (!look_at(fd, facts)) return fail_errno(errno, "look at layer {} of memory", number);
  if (!S_ISREG(facts.st_mode)) {
    return fail(ErrorKind::kInvalid, "layer {} of memory is no regular file", number);
  }
  if (static_cast<std::uint64_t>(facts.st_size) < total) {
    return fail(ErrorKind::kInvalid, "layer {} of memory has {} bytes; the guest's memory has {}",
                number, facts.st_size, total);
  }
  // A file has no seals: on a disk it cannot be asked, on a tmpfs it takes none.
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || seals == F_SEAL_SEAL) return {};
  if ((seals & F_SEAL_SHRINK) == 0 || (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) == 0) {
    return fail(ErrorKind::kInvalid,
                "layer {} of memory can still be changed; it must be sealed (F_SEAL_SHRINK and "
                "F_SEAL_FUTURE_WRITE)",
                number);
  }
  return {};
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t grain) {
  return (value + grain - 1) & ~(grain - 1);
}

// Adds an extent behind the others, or to the last where it touches it.
void append(std::vector<Extent>& extents, const Extent& next) {
  if (next.size == 0) return;
  if (!extents.empty() && extents.back().layer == next.layer &&
      extents.back().offset + extents.back().size >= next.offset) {
    extents.back().size =
        std::max(extents.back().offset + extents.back().size, next.offset + next.size) -
        extents.back().offset;
    return;
  }
  extents.push_back(next);
}

// Adds the blocks of [at, end) of the file that have data; `at` begins one.
Result<void> add_blocks(int fd, std::uint64_t at, std::uint64_t end, std::uint64_t grain,
                        std::vector<Extent>& extents) {
  while (at < end) {
    const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // nothing behind it
    if (data < 0) return fail_errno(errno, "find what memory has");
    // Where the data end is not asked: the kernel would look at page after page.
    const std::uint64_t begin = static_cast<std::uint64_t>(data) & ~(grain - 1);
    if (begin >= end) break;
    at = std::min(begin + grain, end);
    append(extents, {.offset = begin, .size = at - begin, .layer = 0});
  }
  return {};
}

std::vector<Extent> with_grain(std::span<const Extent> extents, std::uint64_t size,
                               std::uint64_t grain) {
  std::vector<Extent> rounded;
  for (const Extent& extent : extents) {
    const std::uint64_t begin = extent.offset & ~(grain - 1);
    const std::uint64_t end = std::min(round_up(extent.offset + extent.size, grain), size);
    append(rounded, {.offset = begin, .size = end - begin, .layer = extent.layer});
  }
  return rounded;
}

}  // namespace

Result<void> check(const Layers& layers, std::uint64_t total) {
  if (layers.files.size() > kMaxLayers || layers.extents.size() > kMaxExtents) {
    return fail(ErrorKind::kInvalid,
                "memory is in {} layers and {} extents; {} and {} are the most",
                layers.files.size(), layers.extents.size(), kMaxLayers, kMaxExtents);
  }
  std::uint64_t at = 0;
  for (const Extent& extent : layers.extents) {
    const bool fits = extent.offset >= at && extent.offset <= total && extent.size > 0 &&
                      extent.size <= total - extent.offset && extent.offset % kPageSize == 0 &&
                      extent.size % kPageSize == 0;
    if (!fits) {
      return fail(ErrorKind::kInvalid,
                  "the extent of {} bytes at {} is not of memory of {} bytes, behind those before",
                  extent.size, extent.offset, total);
    }
    if (extent.layer >= layers.files.size()) {
      return fail(ErrorKind::kInvalid, "an extent is in layer {} of memory, and there are {}",
                  extent.layer, layers.files.size());
    }
    at = extent.offset + extent.size;
  }
  for (std::size_t i = 0; i < layers.files.size(); ++i) {
    MOTE_CHECK(check_file(layers.files[i]->get(), i, total));
  }
  return {};
}

Result<std::vector<Extent>> extents_of(int fd, std::uint64_t size, std::uint64_t grain,
                                       std::size_t most, std::span<const Extent> known) {
  std::vector<Extent> extents;
  std::uint64_t at = 0;
  for (const Extent& extent : known) {
    MOTE_CHECK(add_blocks(fd, at, extent.offset, grain, extents));
    append(extents, extent);
    at = extent.offset + extent.size;
  }
  MOTE_CHECK(add_blocks(fd, at, size, grain, extents));
  while (extents.size() > most) {
    grain *= 2;
    extents = with_grain(extents, size, grain);
  }
  return extents;
}

std::vector<Extent> lay_over(std::span<const Extent> extents, std::span<const Extent> changed) {
  std::vector<Extent> made;
  std::uint64_t at = 0;
  const auto keep_until = [&](std::uint64_t end) {
    if (end <= at) return;
    // Never an error.
    static_cast<void>(each_part(
        extents, at, end - at,
        [&](std::uint64_t offset, std::uint64_t size, std::uint32_t layer) -> Result<void> {
          if (layer != kNoLayer) append(made, {offset, size, layer});
          return {};
        }));
  };
  for (const Extent& change : changed) {
    keep_until(change.offset);
    if (change.layer != kNoLayer) append(made, change);
    at = change.offset + change.size;
  }
  if (!extents.empty()) keep_until(extents.back().offset + extents.back().size);
  return made;
}

}  // namespace mote::memory
