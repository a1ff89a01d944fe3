#include "storage/zstd/literals.h"

#include <algorithm>

#include "storage/zstd/bits.h"

namespace mote::storage::zstd {
namespace {

enum class Kind : std::uint8_t { kRaw, kOneByte, kCompressed, kTreeless };

constexpr std::size_t kStreams = 4;
constexpr std::size_t kJumpTable = 6;

}  // namespace

struct Literals::Head {
  Kind kind = Kind::kRaw;
  std::size_t length = 0;   // of the head
  std::size_t made = 0;     // bytes of literals
  std::size_t stored = 0;   // what they are made of
  bool one_stream = false;  // of codes
};

std::optional<Literals::Head> Literals::read_head(std::span<const std::byte> block) {
  ForwardBits bits(block);
  Head head{.kind = static_cast<Kind>(bits.read(2))};
  const std::uint32_t format = bits.read(2);
  if (head.kind == Kind::kRaw || head.kind == Kind::kOneByte) {
    // With an even format its second bit is the size's first.
    if (format % 2 == 0) bits.unread(1);
    head.made = bits.read(format % 2 == 0 ? 5 : format == 1 ? 12 : 20);
    head.stored = head.kind == Kind::kRaw ? head.made : 1;
  } else {
    const unsigned width = format < 2 ? 10 : format == 2 ? 14 : 18;
    head.made = bits.read(width);
    head.stored = bits.read(width);
    head.one_stream = format == 0;
  }
  head.length = bits.bytes_read();
  if (head.length > block.size() || head.stored > block.size() - head.length) return std::nullopt;
  if (head.made > kMostInBlock) return std::nullopt;
  return head;
}

std::optional<std::size_t> Literals::read(std::span<const std::byte> block) {
  const auto head = read_head(block);
  if (!head) return std::nullopt;
  const auto body = block.subspan(head->length, head->stored);
  const std::span made(bytes_.get(), head->made);
  left_ = made;
  if (head->kind == Kind::kRaw) {
    left_ = body;
  } else if (head->kind == Kind::kOneByte) {
    std::ranges::fill(made, body.front());
  } else if (!decode(*head, body, made)) {
    return std::nullopt;
  }
  return head->length + head->stored;
}

bool Literals::decode(const Head& head, std::span<const std::byte> body,
                      std::span<std::byte> into) {
  if (head.kind == Kind::kCompressed) {
    auto read = HuffmanTable::read(body);
    if (!read) return false;
    table_ = read->table;
    body = body.subspan(read->length);
  }
  if (!table_) return false;
  if (head.one_stream) return table_->decode(body, into);
  // The first three of four have their lengths told, and all but the last make as much.
  if (body.size() < kJumpTable) return false;
  const std::size_t each = (into.size() + kStreams - 1) / kStreams;
  auto streams = body.subspan(kJumpTable);
  for (std::size_t i = 0; i < kStreams; ++i) {
    const bool last = i == kStreams - 1;
    const std::size_t length =
        last ? streams.size() : bits_at(body, static_cast<std::int64_t>(16 * i), 16);
    if (length > streams.size() || (!last && each > into.size())) return false;
    const std::size_t made = last ? into.size() : each;
    if (!table_->decode(streams.first(length), into.first(made))) return false;
    streams = streams.subspan(length);
    into = into.subspan(made);
  }
  return true;
}

std::optional<std::span<const std::byte>> Literals::take(std::size_t count) {
  if (count > left_.size()) return std::nullopt;
  const auto taken = left_.first(count);
  left_ = left_.subspan(count);
  return taken;
}

}  // namespace mote::storage::zstd
