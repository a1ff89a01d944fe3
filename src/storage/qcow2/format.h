// Numbers and bits of the qcow2 format (QEMU's docs/interop/qcow2.txt): all of its integers are
// big-endian, and most of its offsets are of whole clusters.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace mote::storage::qcow2 {

inline constexpr std::uint32_t kMagic = 0x514649fb;  // "QFI\xfb"
inline constexpr unsigned kLeastClusterBits = 9;
inline constexpr unsigned kMostClusterBits = 21;
inline constexpr unsigned kMostRefcountOrder = 6;  // of bits, so that 64 are the most

// Incompatible features: who does not know one must not open the image.
inline constexpr unsigned kDirtyBit = 0;
inline constexpr unsigned kCorruptBit = 1;
inline constexpr unsigned kExternalDataBit = 2;
inline constexpr unsigned kCompressionTypeBit = 3;
inline constexpr unsigned kExtendedL2Bit = 4;

// Entries of the L1 and L2 tables.
inline constexpr std::uint64_t kEntrySize = 8;
inline constexpr std::uint64_t kCopied = std::uint64_t{1} << 63;      // its refcount is exactly 1
inline constexpr std::uint64_t kCompressed = std::uint64_t{1} << 62;  // L2 alone
inline constexpr std::uint64_t kZero = 1;                             // L2 alone: reads as zeros
inline constexpr std::uint64_t kOffsetMask = 0x00fffffffffffe00;      // bits 9 to 55
// Entries of the refcount table: all but the bits below a sector.
inline constexpr std::uint64_t kRefcountOffsetMask = ~std::uint64_t{0x1ff};

// The most of each table that is kept in memory; larger ones are refused.
inline constexpr std::uint64_t kMostL1Bytes = std::uint64_t{32} << 20;
inline constexpr std::uint64_t kMostRefcountTableBytes = std::uint64_t{8} << 20;

// Where fields of the header lie.
inline constexpr std::uint64_t kRefcountTableField = 48;  // offset (8 bytes), then clusters (4)
inline constexpr std::uint64_t kAutoclearField = 88;

// An integer at `offset` of `bytes`, which whoever asks knows to be inside.
template <typename T>
T load(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.subspan(offset, sizeof value).data(), sizeof value);
  return std::byteswap(value);
}
template <typename T>
void store(std::span<std::byte> bytes, std::size_t offset, T value) {
  value = std::byteswap(value);
  std::memcpy(bytes.subspan(offset, sizeof value).data(), &value, sizeof value);
}

constexpr std::uint64_t divide_up(std::uint64_t value, std::uint64_t by) {
  return value / by + (value % by != 0 ? 1 : 0);
}

}  // namespace mote::storage::qcow2
