// Layers are what guest memory was at a moment, frozen in files: microVMs that were forked of one
// another map them private and share them until they write.
#pragma once

#include <algorithm>
#include <boost/describe/class.hpp>
#include <cstdint>
#include <memory>
#include <ranges>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::memory {

// A part of guest memory, counted from the start of its first region with one region behind the
// other, and the layer that has it, at the same place of the file.
struct Extent {
  std::uint64_t offset = 0;  // bytes, whole pages
  std::uint64_t size = 0;
  std::uint32_t layer = 0;
};
BOOST_DESCRIBE_STRUCT(Extent, (), (offset, size, layer))

// More extents are not made: each is a mapping of its own, of which a process may have 65530.
inline constexpr std::size_t kMaxExtents = 4096;
// As many as travel with a message beside the state.
inline constexpr std::size_t kMaxLayers = 16;

struct Layers {
  std::vector<std::shared_ptr<const UniqueFd>> files;
  std::vector<Extent> extents;  // ascending, apart; between them memory is zeros
};

// Whether `layers` can be memory of `total` bytes: extents in order and inside, in files that are
// as long and stay so: memfds must be sealed against shrinking and writing; of other files that is
// their owner's to see to.
Result<void> check(const Layers& layers, std::uint64_t total);

// Which blocks of `grain` bytes, a power of two, of the file `fd` of `size` bytes have data, as
// extents of layer 0; of a larger grain where there would be more than `most`. What is in `known`,
// which this returned before, is not looked at again and counts as data.
Result<std::vector<Extent>> extents_of(int fd, std::uint64_t size, std::uint64_t grain,
                                       std::size_t most = kMaxExtents,
                                       std::span<const Extent> known = {});

// `extents` with `changed`, of the same form, laid over them: of those, what has layer kNoLayer
// becomes zeros.
inline constexpr std::uint32_t kNoLayer = UINT32_MAX;
std::vector<Extent> lay_over(std::span<const Extent> extents, std::span<const Extent> changed);

// Calls `each(offset, size, layer)` for the parts that [offset, offset + size) of memory consists
// of, in order; zeros have layer kNoLayer. It returns Result<void>, and an error ends it.
template <typename Each>
Result<void> each_part(std::span<const Extent> extents, std::uint64_t offset, std::uint64_t size,
                       Each&& each) {
  const std::uint64_t end = offset + size;
  const auto first = std::ranges::partition_point(
      extents, [offset](const Extent& extent) { return extent.offset + extent.size <= offset; });
  for (const Extent& extent : std::ranges::subrange(first, extents.end())) {
    if (extent.offset >= end) break;
    if (extent.offset > offset) {
      MOTE_CHECK(each(offset, extent.offset - offset, kNoLayer));
      offset = extent.offset;
    }
    const std::uint64_t part = std::min(extent.offset + extent.size, end) - offset;
    MOTE_CHECK(each(offset, part, extent.layer));
    offset += part;
  }
  if (offset < end) MOTE_CHECK(each(offset, end - offset, kNoLayer));
  return {};
}

}  // namespace mote::memory
