// A checksum that finds accidents: a file that was cut off, torn or damaged. It keeps nobody out
// who means it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

namespace mote {

// Of words of 8 bytes, the last filled up with zeros, and of the length. Each step is a bijection
// of what came before, so that no change within one word goes unseen. `start`: the sum of what
// comes before.
inline std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t start = 0) {
  constexpr std::uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;  // 2^64 over the golden ratio
  std::uint64_t sum = start ^ bytes.size();
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min(sizeof word, bytes.size() - at));
    sum = (sum ^ word) * kOdd;
    sum ^= sum >> 29;
  }
  return sum;
}

}  // namespace mote
