// Where a compressed cluster lies, as its L2 entry says.
#pragma once

#include <cstdint>

#include "storage/qcow2/format.h"

namespace mote::storage::qcow2 {

struct CompressedPlace {
  std::uint64_t offset = 0;  // in the file, bytes
  std::uint64_t length = 0;  // to the end of the last sector that it has a part of
};

constexpr CompressedPlace compressed_place(std::uint64_t entry, unsigned cluster_bits) {
  const unsigned size_bits = cluster_bits - 8;
  const unsigned shift = 62 - size_bits;
  const std::uint64_t offset = entry & ((std::uint64_t{1} << shift) - 1);
  const std::uint64_t sectors = (entry >> shift & ((std::uint64_t{1} << size_bits) - 1)) + 1;
  return {.offset = offset, .length = sectors * 512 - offset % 512};
}

}  // namespace mote::storage::qcow2
