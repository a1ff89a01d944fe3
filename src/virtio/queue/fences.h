// Every ordering of a split ring between this side and the driver's, which may run on another CPU
// at this moment. Each function names the pair that it orders. VIRTIO 1.2, 2.7.13 and 2.7.14.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "memory/guest_memory.h"

namespace mote::virtio::fences {

static_assert(std::endian::native == std::endian::little, "rings are little-endian");

// Reads the available index. Acquire: the ring entries and descriptors that the driver wrote before
// it published this index are seen by the reads that follow. Pairs with the driver's write barrier
// between the two.
inline std::uint16_t take_available_index(const memory::GuestSlice& ring) {
  return ring.load<std::uint16_t>(2, std::memory_order_acquire);
}

// Writes the used index. Release: the used elements and the data in buffers, written before, are
// seen by a driver that reads this index. Pairs with the driver's read barrier after reading it.
inline void publish_used_index(const memory::GuestSlice& ring, std::uint16_t index) {
  ring.store<std::uint16_t>(2, index, std::memory_order_release);
}

// Between publish_used_index() and reading used_event (or the driver's flags). Full: a store must
// be seen before a later load is done, which release and acquire do not promise. Pairs with the
// driver's full barrier between writing used_event and reading the used index again: at least one
// of the two sees the other's write, so no interrupt is lost.
inline void after_publishing_used() { std::atomic_thread_fence(std::memory_order_seq_cst); }

// Between asking for notifications (avail_event, or the flag taken back) and reading the available
// index again. Full, for the same reason. Pairs with the driver's full barrier between publishing
// the available index and reading avail_event: no kick is lost.
inline void after_asking_for_kicks() { std::atomic_thread_fence(std::memory_order_seq_cst); }

}  // namespace mote::virtio::fences
