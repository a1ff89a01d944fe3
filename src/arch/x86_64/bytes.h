// Firmware tables as they are written: bytes in a row, integers in little-endian order, a byte that
// makes their sum 0.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

namespace mote::arch {

using Bytes = std::vector<std::uint8_t>;

template <std::unsigned_integral T>
void append(Bytes& bytes, T value) {
  for (unsigned index = 0; index < sizeof(T); ++index) {
    bytes.push_back(static_cast<std::uint8_t>(value >> (8 * index)));
  }
}

inline void append(Bytes& bytes, std::span<const std::uint8_t> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

// `text`, cut or filled with spaces to `width`.
inline void append_text(Bytes& bytes, std::string_view text, std::size_t width) {
  for (std::size_t index = 0; index < width; ++index) {
    bytes.push_back(index < text.size() ? static_cast<std::uint8_t>(text[index]) : ' ');
  }
}

// Overwrites what is at `offset`, which must be there.
template <std::unsigned_integral T>
void put(std::span<std::uint8_t> bytes, std::size_t offset, T value) {
  for (unsigned index = 0; index < sizeof(T); ++index) {
    bytes[offset + index] = static_cast<std::uint8_t>(value >> (8 * index));
  }
}

// What must be added to the sum of `bytes` to make it 0.
inline std::uint8_t checksum(std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint8_t>(-std::accumulate(bytes.begin(), bytes.end(), 0U));
}

}  // namespace mote::arch
