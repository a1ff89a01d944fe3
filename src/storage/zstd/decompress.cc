#include "storage/zstd/decompress.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

#include "storage/zstd/literals.h"
#include "storage/zstd/sequences.h"

namespace mote::storage::zstd {
namespace {

constexpr std::uint32_t kMagic = 0xfd2fb528;
constexpr std::size_t kBlockHead = 3;
constexpr unsigned kMostBlocks = 4096;

enum class BlockKind : std::uint8_t { kRaw, kOneByte, kCompressed, kReserved };

// The length of the frame's head (3.1.1.1). Empty: it is none, or one with a dictionary.
std::optional<std::size_t> head_length(std::span<const std::byte> from) {
  if (from.size() < 5 || bits_at(from, 0, 32) != kMagic) return std::nullopt;
  const auto descriptor = std::to_integer<unsigned>(from[4]);
  const bool one_segment = (descriptor >> 5 & 1) != 0;
  const bool reserved = (descriptor >> 3 & 1) != 0;
  if (reserved || (descriptor & 3) != 0) return std::nullopt;
  constexpr std::array<std::size_t, 4> kSizeOfSize{0, 2, 4, 8};
  std::size_t size_of_size = kSizeOfSize[descriptor >> 6];
  if (size_of_size == 0 && one_segment) size_of_size = 1;
  // How large it says that it is does not matter: it must be as large as is asked for.
  const std::size_t length = 5 + (one_segment ? 0 : 1) + size_of_size;
  if (from.size() < length) return std::nullopt;
  return length;
}

class Frame {
 public:
  Frame(std::span<const std::byte> from, std::span<std::byte> into) : from_(from), into_(into) {}

  bool decompress() {
    const auto head = head_length(from_);
    if (!head) return false;
    from_ = from_.subspan(*head);
    for (unsigned blocks = 0; blocks < kMostBlocks; ++blocks) {
      const auto last = block();
      if (!last) return false;
      if (*last) return made_ == into_.size();
    }
    return false;
  }

 private:
  // Whether it is the last one; empty: it is none.
  std::optional<bool> block() {
    if (from_.size() < kBlockHead) return std::nullopt;
    const std::uint32_t head = bits_at(from_, 0, 24);
    from_ = from_.subspan(kBlockHead);
    const auto kind = static_cast<BlockKind>(head >> 1 & 3);
    const std::size_t size = head >> 3;
    const std::size_t stored = kind == BlockKind::kOneByte ? 1 : size;
    if (size > kMostInBlock || stored > from_.size()) return std::nullopt;
    const auto body = from_.first(stored);
    from_ = from_.subspan(stored);
    if (!content(kind, body, size)) return std::nullopt;
    return (head & 1) != 0;
  }
  bool content(BlockKind kind, std::span<const std::byte> body, std::size_t size) {
    switch (kind) {
      case BlockKind::kRaw:
        return append(body);
      case BlockKind::kOneByte:
        if (size > into_.size() - made_) return false;
        std::ranges::fill(into_.subspan(made_, size), body.front());
        made_ += size;
        return true;
      case BlockKind::kCompressed:
        return compressed(body);
      case BlockKind::kReserved:
        break;
    }
    return false;
  }
  bool compressed(std::span<const std::byte> body) {
    const auto length = literals_.read(body);
    if (!length) return false;
    const bool applied = sequences_.read(body.subspan(*length), [this](const Sequence& sequence) {
      const auto literals = literals_.take(sequence.literals);
      return literals && append(*literals) && copy(sequence.distance, sequence.length);
    });
    return applied && append(*literals_.take(literals_.left()));
  }
  bool append(std::span<const std::byte> bytes) {
    if (bytes.size() > into_.size() - made_) return false;
    if (!bytes.empty()) std::memcpy(into_.data() + made_, bytes.data(), bytes.size());
    made_ += bytes.size();
    return true;
  }
  // Byte by byte, as a copy may go on into what it makes.
  bool copy(std::size_t distance, std::size_t length) {
    if (distance == 0 || distance > made_ || length > into_.size() - made_) return false;
    for (std::size_t i = 0; i < length; ++i, ++made_) into_[made_] = into_[made_ - distance];
    return true;
  }

  std::span<const std::byte> from_;
  std::span<std::byte> into_;
  std::size_t made_ = 0;  // bytes of into_
  Literals literals_;
  Sequences sequences_;
};

}  // namespace

bool decompress(std::span<const std::byte> from, std::span<std::byte> into) {
  return std::make_unique<Frame>(from, into)->decompress();
}

}  // namespace mote::storage::zstd
