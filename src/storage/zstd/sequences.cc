#include "storage/zstd/sequences.h"

#include <utility>

namespace mote::storage::zstd {
namespace {

// A code of literals' number or a copy's length is a range: where it begins, and how many bits say
// where in it.
struct Range {
  std::uint32_t base;
  std::uint8_t bits;
};

constexpr std::array<Range, 36> kLiteralRanges{
    {{0, 0},     {1, 0},      {2, 0},      {3, 0},     {4, 0},   {5, 0},     {6, 0},     {7, 0},
     {8, 0},     {9, 0},      {10, 0},     {11, 0},    {12, 0},  {13, 0},    {14, 0},    {15, 0},
     {16, 1},    {18, 1},     {20, 1},     {22, 1},    {24, 2},  {28, 2},    {32, 3},    {40, 3},
     {48, 4},    {64, 6},     {128, 7},    {256, 8},   {512, 9}, {1024, 10}, {2048, 11}, {4096, 12},
     {8192, 13}, {16384, 14}, {32768, 15}, {65536, 16}}};
// From this code on; those before are 3 more than they are.
constexpr std::uint32_t kFirstLengthRange = 32;
constexpr std::array<Range, 21> kLengthRanges{
    {{35, 1},    {37, 1},    {39, 1},    {41, 1},    {43, 2},     {47, 2},     {51, 3},
     {59, 3},    {67, 4},    {83, 4},    {99, 5},    {131, 7},    {259, 8},    {515, 9},
     {1027, 10}, {2051, 11}, {4099, 12}, {8195, 13}, {16387, 14}, {32771, 15}, {65539, 16}}};
constexpr std::uint32_t kLeastLength = 3;

// Tables that need not be told (3.1.1.3.2.2).
constexpr std::array<std::int16_t, 36> kLiteralShares{4, 3, 2, 2, 2, 2, 2, 2, 2,  2,  2,  2,
                                                      2, 1, 1, 1, 2, 2, 2, 2, 2,  2,  2,  2,
                                                      2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1};
constexpr std::array<std::int16_t, 29> kDistanceShares{
    1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1};
constexpr std::array<std::int16_t, 53> kLengthShares{
    1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  1,  1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1};

struct Kind {
  std::span<const std::int16_t> shares;
  unsigned accuracy;       // with those
  unsigned most_accuracy;  // with others
  unsigned symbols;
};

// In the order of Part. A distance of more bits than 31 does not occur.
constexpr std::array<Kind, 3> kKinds{
    {{kLiteralShares, 6, 9, 36}, {kDistanceShares, 5, 8, 32}, {kLengthShares, 6, 9, 53}}};

enum Mode : std::uint8_t { kPredefined, kOneSymbol, kDescribed, kRepeated };

// The number of sequences, which it takes off the front (3.1.1.3.2.1).
std::optional<std::size_t> take_count(std::span<const std::byte>& section) {
  const auto byte = [&](std::size_t index) { return std::to_integer<std::size_t>(section[index]); };
  if (section.empty()) return std::nullopt;
  const std::size_t length = byte(0) < 128 ? 1 : byte(0) < 255 ? 2 : 3;
  if (section.size() < length) return std::nullopt;
  std::size_t count = byte(0);
  if (length == 2) count = (byte(0) - 128) * 256 + byte(1);
  if (length == 3) count = byte(1) + byte(2) * 256 + 0x7f00;
  section = section.subspan(length);
  return count;
}

}  // namespace

bool Sequences::read(std::span<const std::byte> section,
                     const std::function<bool(const Sequence& sequence)>& apply) {
  const auto count = take_count(section);
  if (!count) return false;
  if (*count == 0) return section.empty();
  return read_tables(section) && decode(section, *count, apply);
}

bool Sequences::read_tables(std::span<const std::byte>& section) {
  if (section.empty()) return false;
  const auto modes = std::to_integer<unsigned>(section.front());
  section = section.subspan(1);
  return (modes & 3) == 0 && read_table(kLiterals, modes >> 6, section) &&
         read_table(kDistances, modes >> 4 & 3, section) &&
         read_table(kLengths, modes >> 2 & 3, section);
}

bool Sequences::read_table(Part part, unsigned mode, std::span<const std::byte>& section) {
  const Kind& kind = kKinds[part];
  switch (mode) {
    case kPredefined:
      tables_[part] = FseTable::make(kind.accuracy, kind.shares);
      return true;
    case kOneSymbol: {
      if (section.empty()) return false;
      const auto symbol = std::to_integer<std::uint8_t>(section.front());
      if (symbol >= kind.symbols) return false;
      tables_[part] = FseTable::constant(symbol);
      section = section.subspan(1);
      return true;
    }
    case kDescribed: {
      const auto read = FseTable::read(section, kind.most_accuracy, kind.symbols);
      if (!read) return false;
      tables_[part] = read->table;
      section = section.subspan(read->length);
      return true;
    }
    default:
      return tables_[part].has_value();
  }
}

bool Sequences::decode(std::span<const std::byte> codes, std::size_t count,
                       const std::function<bool(const Sequence& sequence)>& apply) {
  if (!BackwardBits::valid(codes)) return false;
  BackwardBits bits(codes);
  const FseTable& literals = *tables_[kLiterals];
  const FseTable& distances = *tables_[kDistances];
  const FseTable& lengths = *tables_[kLengths];
  std::uint32_t literals_state = literals.first(bits);
  std::uint32_t distance_state = distances.first(bits);
  std::uint32_t length_state = lengths.first(bits);
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned distance_code = distances.symbol(distance_state);
    const std::size_t value = (std::size_t{1} << distance_code) + bits.read(distance_code);
    const std::uint32_t length_code = lengths.symbol(length_state);
    Sequence sequence{.length = length_code + kLeastLength};
    if (length_code >= kFirstLengthRange) {
      const Range& range = kLengthRanges[length_code - kFirstLengthRange];
      sequence.length = range.base + bits.read(range.bits);
    }
    const Range& range = kLiteralRanges[literals.symbol(literals_state)];
    sequence.literals = range.base + bits.read(range.bits);
    sequence.distance = distance_of(value, sequence.literals == 0);
    if (i + 1 < count) {
      literals_state = literals.next(literals_state, bits);
      length_state = lengths.next(length_state, bits);
      distance_state = distances.next(distance_state, bits);
    }
    if (bits.left() < 0 || !apply(sequence)) return false;
  }
  return bits.left() == 0;
}

// The first three values name a recent distance (3.1.1.5). 0: none.
std::size_t Sequences::distance_of(std::size_t value, bool no_literals) {
  if (value > recent_.size()) {
    recent_ = {value - recent_.size(), recent_[0], recent_[1]};
    return recent_[0];
  }
  const std::size_t index = value - 1 + (no_literals ? 1 : 0);
  if (index == 0) return recent_[0];
  const std::size_t distance = index < recent_.size() ? recent_[index] : recent_[0] - 1;
  recent_ = {distance, recent_[0], index == 1 ? recent_[2] : recent_[1]};
  return distance;
}

}  // namespace mote::storage::zstd
