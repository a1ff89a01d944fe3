// Whether bytes are nothing but zeros: what files leave out as holes, and memory as pages that
// nobody touched.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace mote {

// Of at least one byte.
inline bool is_zero(std::span<const std::byte> bytes) {
  // The first byte is zero, and each is as the one before.
  return bytes.front() == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace mote
