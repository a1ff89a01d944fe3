// Tables of finite-state entropy (RFC 8878, 4.1): a state is a symbol, and how to come to the next
// state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "storage/zstd/bits.h"

namespace mote::storage::zstd {

class FseTable {
 public:
  static constexpr unsigned kMostAccuracy = 9;
  static constexpr unsigned kMostSymbols = 64;

  struct Cell {
    std::uint8_t symbol = 0;
    std::uint8_t bits = 0;   // to be read
    std::uint16_t base = 0;  // what is added to them
  };

  // One symbol, always.
  static FseTable constant(std::uint8_t symbol);
  // Of 2^`accuracy` states, so many of each symbol as `shares` says, with -1 for less than one.
  // Empty: they do not make as many states.
  static std::optional<FseTable> make(unsigned accuracy, std::span<const std::int16_t> shares);
  // As a description at the start of `from` says, and how many bytes that has. Symbols are below
  // `symbols`, at most kMostSymbols. Empty: it is none, or of more than 2^`most_accuracy` states.
  struct Read;
  static std::optional<Read> read(std::span<const std::byte> from, unsigned most_accuracy,
                                  unsigned symbols);

  // A state is below 2^accuracy(), as first() and next() make it.
  unsigned accuracy() const { return accuracy_; }
  std::uint32_t first(BackwardBits& bits) const { return bits.read(accuracy_); }
  std::uint8_t symbol(std::uint32_t state) const { return cells_[state].symbol; }
  std::uint32_t next(std::uint32_t state, BackwardBits& bits) const {
    return cells_[state].base + bits.read(cells_[state].bits);
  }

 private:
  unsigned accuracy_ = 0;
  std::array<Cell, 1 << kMostAccuracy> cells_{};
};

struct FseTable::Read {
  FseTable table;
  std::size_t length = 0;
};

}  // namespace mote::storage::zstd
