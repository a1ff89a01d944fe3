// BlockMap says which blocks of a region are memory at the moment. One thread changes it while
// others look.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mote::memory {

class BlockMap {
 public:
  // `blocks` blocks of `block_size` bytes (a power of two), none of them set.
  BlockMap(std::uint64_t blocks, std::uint64_t block_size)
      : block_size_(block_size), words_((blocks + kBits - 1) / kBits) {}

  std::uint64_t block_size() const { return block_size_; }

  bool test(std::uint64_t block) const {
    // Acquire: whoever sees a block set also sees what made it usable.
    return (words_[block / kBits].load(std::memory_order_acquire) >> (block % kBits) & 1) != 0;
  }
  // Whether every block that [offset, offset + length), which is inside, touches is set. Where
  // `length` is 0: the block that `offset` is in, if it is in one.
  bool all_set(std::uint64_t offset, std::uint64_t length) const {
    const std::uint64_t last = (length == 0 ? offset : offset + length - 1) / block_size_;
    for (std::uint64_t block = offset / block_size_; block <= last; ++block) {
      if (block / kBits >= words_.size() || !test(block)) return false;
    }
    return true;
  }
  // How many of [first, first + count) are set.
  std::uint64_t count(std::uint64_t first, std::uint64_t count) const {
    std::uint64_t found = 0;
    for (std::uint64_t block = first; block < first + count; ++block) found += test(block) ? 1 : 0;
    return found;
  }
  void assign(std::uint64_t first, std::uint64_t count, bool value) {
    for (std::uint64_t block = first; block < first + count; ++block) {
      const std::uint64_t bit = std::uint64_t{1} << (block % kBits);
      if (value) {
        words_[block / kBits].fetch_or(bit, std::memory_order_release);
      } else {
        words_[block / kBits].fetch_and(~bit, std::memory_order_release);
      }
    }
  }

 private:
  static constexpr std::uint64_t kBits = 64;

  std::uint64_t block_size_;
  std::vector<std::atomic<std::uint64_t>> words_;
};

}  // namespace mote::memory
