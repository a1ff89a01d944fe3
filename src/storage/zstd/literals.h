// The literals of a block (RFC 8878, 3.1.1.3.1): the bytes that are not copies of earlier ones.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "storage/zstd/huffman.h"

namespace mote::storage::zstd {

// The most bytes that a block makes (3.1.1.2.4).
inline constexpr std::size_t kMostInBlock = std::size_t{128} << 10;

class Literals {
 public:
  Literals() : bytes_(std::make_unique_for_overwrite<std::byte[]>(kMostInBlock)) {}

  // Reads the section at the start of `block`, and says how long it is. Empty: it is none. A table
  // is kept for blocks that have none of their own.
  std::optional<std::size_t> read(std::span<const std::byte> block);

  // The next `count`; empty: there are not so many.
  std::optional<std::span<const std::byte>> take(std::size_t count);
  std::size_t left() const { return left_.size(); }

 private:
  struct Head;
  static std::optional<Head> read_head(std::span<const std::byte> block);
  bool decode(const Head& head, std::span<const std::byte> body, std::span<std::byte> into);

  std::unique_ptr<std::byte[]> bytes_;
  std::span<const std::byte> left_;
  std::optional<HuffmanTable> table_;
};

}  // namespace mote::storage::zstd
