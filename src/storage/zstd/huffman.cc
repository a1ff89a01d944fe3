#include "storage/zstd/huffman.h"

#include <bit>

#include "storage/zstd/bits.h"
#include "storage/zstd/fse.h"

namespace mote::storage::zstd {
namespace {

constexpr std::size_t kMostWeights = 255;  // the last symbol's is not told
constexpr unsigned kWeightAccuracy = 6;
constexpr unsigned kWeightSymbols = HuffmanTable::kMostBits + 1;
// A description that begins with such a byte or a larger one has its weights as they are.
constexpr std::size_t kDirect = 128;

struct Weights {
  std::array<std::uint8_t, kMostWeights> of{};
  std::size_t count = 0;

  bool add(std::uint8_t weight) {
    if (count == of.size()) return false;
    of[count++] = weight;
    return true;
  }
};

// Two states take turns, until a step would need more bits than there are (4.2.1.2).
bool read_compressed(std::span<const std::byte> from, Weights& weights) {
  const auto read = FseTable::read(from, kWeightAccuracy, kWeightSymbols);
  if (!read) return false;
  const auto codes = from.subspan(read->length);
  if (!BackwardBits::valid(codes)) return false;
  BackwardBits bits(codes);
  std::uint32_t state = read->table.first(bits);
  std::uint32_t other = read->table.first(bits);
  if (bits.left() < 0) return false;
  while (true) {
    if (!weights.add(read->table.symbol(state))) return false;
    state = read->table.next(state, bits);
    if (bits.left() < 0) return weights.add(read->table.symbol(other));
    std::swap(state, other);
  }
}

bool read_direct(std::span<const std::byte> from, std::size_t count, Weights& weights) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto both = std::to_integer<std::uint8_t>(from[i / 2]);
    if (!weights.add(i % 2 == 0 ? both >> 4 : both & 15)) return false;
  }
  return true;
}

}  // namespace

std::optional<HuffmanTable> HuffmanTable::make(std::span<const std::uint8_t> weights) {
  std::array<std::uint8_t, kMostWeights + 1> all{};
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > kMostBits) return std::nullopt;
    all[i] = weights[i];
    if (weights[i] > 0) sum += std::uint32_t{1} << (weights[i] - 1);
  }
  if (sum == 0) return std::nullopt;
  HuffmanTable table;
  table.bits_ = highest_bit(sum) + 1;
  if (table.bits_ > kMostBits) return std::nullopt;
  const std::uint32_t size = std::uint32_t{1} << table.bits_;
  const std::uint32_t missing = size - sum;
  if (!std::has_single_bit(missing)) return std::nullopt;
  all[weights.size()] = static_cast<std::uint8_t>(highest_bit(missing) + 1);
  // The longest codes come first, those of one length in the order of their symbols. A code of
  // weight w has 2^(w - 1) of the cells, and they are as many as there are.
  std::uint32_t at = 0;
  for (unsigned weight = 1; weight <= table.bits_; ++weight) {
    for (std::size_t symbol = 0; symbol <= weights.size(); ++symbol) {
      if (all[symbol] != weight) continue;
      for (std::uint32_t i = 0; i < std::uint32_t{1} << (weight - 1); ++i) {
        table.cells_[at++] = {.symbol = static_cast<std::uint8_t>(symbol),
                              .bits = static_cast<std::uint8_t>(table.bits_ + 1 - weight)};
      }
    }
  }
  return table;
}

std::optional<HuffmanTable::Read> HuffmanTable::read(std::span<const std::byte> from) {
  if (from.empty()) return std::nullopt;
  const auto head = std::to_integer<std::size_t>(from.front());
  const bool direct = head >= kDirect;
  const std::size_t count = head - (kDirect - 1);  // of direct ones
  const std::size_t length = direct ? (count + 1) / 2 : head;
  if (from.size() - 1 < length) return std::nullopt;
  const auto body = from.subspan(1, length);
  Weights weights;
  if (!(direct ? read_direct(body, count, weights) : read_compressed(body, weights))) {
    return std::nullopt;
  }
  auto table = make(std::span(weights.of).first(weights.count));
  if (!table) return std::nullopt;
  return Read{.table = *table, .length = 1 + length};
}

bool HuffmanTable::decode(std::span<const std::byte> from, std::span<std::byte> into) const {
  if (!BackwardBits::valid(from)) return false;
  BackwardBits bits(from);
  const std::uint32_t mask = (std::uint32_t{1} << bits_) - 1;
  std::uint32_t state = bits.read(bits_);
  for (std::byte& byte : into) {
    const Cell cell = cells_[state];
    byte = static_cast<std::byte>(cell.symbol);
    state = (state << cell.bits & mask) | bits.read(cell.bits);
  }
  // Read to the end, and as far beyond as a state looks ahead.
  return bits.left() == -static_cast<std::int64_t>(bits_);
}

}  // namespace mote::storage::zstd
