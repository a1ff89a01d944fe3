// The two ways in which zstd reads bits (RFC 8878, 4.1): tables forwards from the first byte, and
// codes backwards from the last one, whose highest set bit marks the end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace mote::storage::zstd {

static_assert(std::endian::native == std::endian::little, "as zstd's numbers are");

// The number of the highest bit that is set; of a value that is not 0.
constexpr unsigned highest_bit(std::uint64_t value) {
  return static_cast<unsigned>(std::bit_width(value)) - 1;
}

// `count` bits from bit `at` on, at most 32; those outside of `bytes` are 0.
inline std::uint32_t bits_at(std::span<const std::byte> bytes, std::int64_t at, unsigned count) {
  std::uint64_t value = 0;
  const std::int64_t first = at >> 3;  // rounds down
  if (first >= 0 && static_cast<std::uint64_t>(first) + sizeof value <= bytes.size()) {
    std::memcpy(&value, bytes.data() + first, sizeof value);
    return static_cast<std::uint32_t>(value >> (at & 7) & ((std::uint64_t{1} << count) - 1));
  }
  for (int i = 0; i < 5; ++i) {
    const std::int64_t index = first + i;
    if (index < 0 || static_cast<std::uint64_t>(index) >= bytes.size()) continue;
    value |= std::to_integer<std::uint64_t>(bytes[static_cast<std::size_t>(index)]) << (8 * i);
  }
  return static_cast<std::uint32_t>(value >> (at & 7) & ((std::uint64_t{1} << count) - 1));
}

class ForwardBits {
 public:
  explicit ForwardBits(std::span<const std::byte> bytes) : bytes_(bytes) {}

  // At most 32; past the end there are zeros.
  std::uint32_t read(unsigned count) {
    const std::uint32_t value = bits_at(bytes_, at_, count);
    at_ += count;
    return value;
  }
  void unread(unsigned count) { at_ -= count; }
  // Bytes that were read from, the last one perhaps in part. More than there are: they ended.
  std::size_t bytes_read() const { return static_cast<std::size_t>((at_ + 7) / 8); }

 private:
  std::span<const std::byte> bytes_;
  std::int64_t at_ = 0;
};

class BackwardBits {
 public:
  // `bytes` end in one that is not 0: see valid().
  explicit BackwardBits(std::span<const std::byte> bytes) : bytes_(bytes) {
    if (valid(bytes)) {
      left_ = static_cast<std::int64_t>(bytes.size() - 1) * 8 +
              highest_bit(std::to_integer<std::uint64_t>(bytes.back()));
    }
  }
  static bool valid(std::span<const std::byte> bytes) {
    return !bytes.empty() && bytes.back() != std::byte{0};
  }

  // At most 32; before the beginning there are zeros.
  std::uint32_t read(unsigned count) {
    left_ -= count;
    return bits_at(bytes_, left_, count);
  }
  // Bits that are left; below 0: so many more were read than there were.
  std::int64_t left() const { return left_; }

 private:
  std::span<const std::byte> bytes_;
  std::int64_t left_ = 0;
};

}  // namespace mote::storage::zstd
