// PluggableMemory is a range of guest-physical addresses of which blocks become memory and go again
// while the guest runs. It belongs to the machine thread; others find its blocks in GuestMemory.
//
// Blocks lie in slots. What of a slot was never plugged cannot be touched, by the monitor either:
// it is addresses and nothing else. A slot is the guest's, as a memory slot of KVM, while it has a
// plugged block. An unplugged block is given back to the host at once and is no guest memory for
// any device; but it stays mapped, so that a device which still has a buffer there may touch it
// without harm, and a guest that touches it while its slot has other blocks gets zeros (and pages
// behind them, at most the slot).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "memory/address_space.h"
#include "memory/block_map.h"

namespace mote::memory {

// Bytes: a block is a power of two of at least 2 MiB, a slot a multiple of it, the whole of slots.
struct PluggableSizes {
  std::uint64_t total = 0;
  std::uint64_t slot = 0;
  std::uint64_t block = 0;
};

class PluggableMemory {
 public:
  // Nothing of it is plugged. `at`: where a saved machine had it. Errors: no addresses left, or not
  // there; RAM that is shared with other processes, which would have to be told (kUnsupported).
  static Result<std::unique_ptr<PluggableMemory>> create(AddressSpace& space,
                                                         const PluggableSizes& sizes,
                                                         std::optional<GuestAddress> at);
  PluggableMemory(const PluggableMemory&) = delete;
  PluggableMemory& operator=(const PluggableMemory&) = delete;

  const Range& range() const { return range_; }
  const PluggableSizes& sizes() const { return sizes_; }
  std::uint64_t blocks() const { return sizes_.total / sizes_.block; }
  // How many of the blocks [first, first + count), which are inside, are plugged; of all of them.
  std::uint64_t plugged(std::uint64_t first, std::uint64_t count) const;
  std::uint64_t plugged() const { return plugged_; }
  // How many slots the blocks [first, first + count) lie in (count more than 0).
  std::uint64_t slots_of(std::uint64_t first, std::uint64_t count) const;

  // Plugs blocks that are inside and not plugged. An error, with nothing changed: the host has no
  // memory slot or no huge pages left.
  Result<void> plug(std::uint64_t first, std::uint64_t count);
  // Unplugs blocks that are plugged. False: the host would not take some of it back.
  bool unplug(std::uint64_t first, std::uint64_t count);
  bool unplug_all();

 private:
  // A part that is one memory slot of KVM.
  struct Part {
    Slot slot;
    std::uint64_t plugged = 0;  // blocks
    bool usable = false;        // it can be touched
  };

  PluggableMemory(AddressSpace& space, const PluggableSizes& sizes, const Range& range,
                  std::byte* host, std::shared_ptr<BlockMap> map);
  Result<void> open(std::size_t part);
  Result<void> make_usable(std::size_t part);
  // Calls `use(part, first, count)` for the blocks of each part.
  template <typename Use>
  void each_part(std::uint64_t first, std::uint64_t count, Use&& use) const;
  bool discard(std::uint64_t offset, std::uint64_t length);

  AddressSpace& space_;
  PluggableSizes sizes_;
  Range range_;
  std::byte* host_;  // GuestMemory has the mapping
  std::shared_ptr<BlockMap> map_;
  std::vector<Part> parts_;
  std::uint64_t plugged_ = 0;  // blocks
};

}  // namespace mote::memory
