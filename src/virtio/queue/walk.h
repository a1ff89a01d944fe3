// Follows a chain's descriptors and checks each, so that a device sees a chain only whole and
// sound.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"
#include "virtio/queue/ring.h"

namespace mote::virtio {

// Appends the buffers of the chain at `head`, in order, to `parts`; returns how many of them, the
// first ones, are for the device to read. Buffers of length 0 are left out. Errors (kGuest): a
// descriptor index outside its table, more descriptors than the table has (a loop), more than 1024
// buffers or the queue's size, whichever is more; a readable buffer behind a writable one; a buffer
// not in guest memory; more than 4 GiB in all; an indirect table that was not negotiated, is
// empty, no multiple of 16 bytes, not in guest memory, has descriptors behind it, or is inside
// another (VIRTIO 1.2, 2.7.5.3).
Result<std::size_t> walk_chain(const Ring& ring, std::uint16_t head,
                               std::vector<memory::GuestSlice>& parts);

}  // namespace mote::virtio
