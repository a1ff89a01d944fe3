// Huffman codes of literals (RFC 8878, 4.2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace mote::storage::zstd {

class HuffmanTable {
 public:
  static constexpr unsigned kMostBits = 11;

  // As a description at the start of `from` says, and how many bytes that has. Empty: it is none.
  struct Read;
  static std::optional<Read> read(std::span<const std::byte> from);

  // Fills `into` from a stream of codes that is all of `from`; false: it does not fit.
  bool decode(std::span<const std::byte> from, std::span<std::byte> into) const;

 private:
  struct Cell {
    std::uint8_t symbol = 0;
    std::uint8_t bits = 0;
  };
  // `weights` of all symbols but the last, whose is what is missing.
  static std::optional<HuffmanTable> make(std::span<const std::uint8_t> weights);

  unsigned bits_ = 0;  // of the longest code
  std::array<Cell, 1 << kMostBits> cells_{};
};

struct HuffmanTable::Read {
  HuffmanTable table;
  std::size_t length = 0;
};

}  // namespace mote::storage::zstd
