#include "storage/zstd/fse.h"

#include <cstdlib>

namespace mote::storage::zstd {
namespace {

using Shares = std::array<std::int16_t, FseTable::kMostSymbols>;

// How many of the `remaining` states the next symbol has (4.1.1): -1 to `remaining`, or more when
// it lies. Small numbers have a bit less.
int read_share(ForwardBits& bits, int remaining) {
  const unsigned width = highest_bit(static_cast<std::uint64_t>(remaining) + 1) + 1;
  const int low_mask = (1 << (width - 1)) - 1;
  const int threshold = (1 << width) - 1 - (remaining + 1);
  int value = static_cast<int>(bits.read(width));
  if ((value & low_mask) < threshold) {
    bits.unread(1);
    value &= low_mask;
  } else if (value > low_mask) {
    value -= threshold;
  }
  return value - 1;
}

// Zeros that follow a zero: so many, and while that is 3, so many more.
std::size_t read_zeros(ForwardBits& bits, std::size_t most) {
  std::size_t zeros = 0;
  std::uint32_t more = 3;
  while (more == 3 && zeros <= most) {
    more = bits.read(2);
    zeros += more;
  }
  return zeros;
}

}  // namespace

FseTable FseTable::constant(std::uint8_t symbol) {
  FseTable table;
  table.cells_[0].symbol = symbol;
  return table;
}

std::optional<FseTable> FseTable::make(unsigned accuracy, std::span<const std::int16_t> shares) {
  if (accuracy > kMostAccuracy || shares.size() > kMostSymbols) return std::nullopt;
  const std::uint32_t size = std::uint32_t{1} << accuracy;
  std::uint32_t sum = 0;
  for (const std::int16_t share : shares) sum += static_cast<std::uint32_t>(std::abs(share));
  if (sum != size) return std::nullopt;
  FseTable table;
  table.accuracy_ = accuracy;
  std::array<std::uint16_t, kMostSymbols> next{};  // of each symbol's states
  std::uint32_t high = size;
  for (std::size_t symbol = 0; symbol < shares.size(); ++symbol) {
    if (shares[symbol] >= 0) continue;
    table.cells_[--high].symbol = static_cast<std::uint8_t>(symbol);
    next[symbol] = 1;
  }
  // The others lie scattered over what is left. With an odd step every place is met once.
  const std::uint32_t step = (size >> 1) + (size >> 3) + 3;
  std::uint32_t at = 0;
  for (std::size_t symbol = 0; symbol < shares.size(); ++symbol) {
    if (shares[symbol] <= 0) continue;
    next[symbol] = static_cast<std::uint16_t>(shares[symbol]);
    for (std::int16_t i = 0; i < shares[symbol]; ++i) {
      table.cells_[at].symbol = static_cast<std::uint8_t>(symbol);
      do {
        at = (at + step) & (size - 1);
      } while (at >= high);
    }
  }
  for (std::uint32_t state = 0; state < size; ++state) {
    Cell& cell = table.cells_[state];
    const std::uint32_t number = next[cell.symbol]++;
    cell.bits = static_cast<std::uint8_t>(accuracy - highest_bit(number));
    cell.base = static_cast<std::uint16_t>((number << cell.bits) - size);
  }
  return table;
}

std::optional<FseTable::Read> FseTable::read(std::span<const std::byte> from,
                                             unsigned most_accuracy, unsigned symbols) {
  ForwardBits bits(from);
  const unsigned accuracy = bits.read(4) + 5;
  if (accuracy > most_accuracy || symbols > kMostSymbols) return std::nullopt;
  Shares shares{};
  int remaining = 1 << accuracy;
  std::size_t count = 0;
  while (remaining > 0) {
    if (count >= symbols || bits.bytes_read() > from.size()) return std::nullopt;
    const int share = read_share(bits, remaining);
    remaining -= std::abs(share);
    shares[count++] = static_cast<std::int16_t>(share);
    if (share == 0) count += read_zeros(bits, symbols);
  }
  if (remaining < 0 || count > symbols || bits.bytes_read() > from.size()) return std::nullopt;
  auto table = make(accuracy, std::span(shares).first(count));
  if (!table) return std::nullopt;
  return Read{.table = *table, .length = bits.bytes_read()};
}

}  // namespace mote::storage::zstd
