#include "virtio/queue/walk.h"

#include <algorithm>
#include <array>
#include <bit>

#include "virtio/queue/ring_abi.h"

namespace mote::virtio {
namespace {

constexpr std::uint64_t kMaxChainBytes = std::uint64_t{1} << 32;  // VIRTIO 1.2, 2.7.5.2

// The longest chain through an indirect table. The specification says the queue's size; drivers go
// beyond it with small queues. The bound keeps what a chain costs the monitor small.
constexpr std::uint32_t kMaxIndirectBuffers = 1024;

// One descriptor, copied out of guest memory once.
vring_desc fetch(const memory::GuestSlice& table, std::uint64_t index) {
  return *table.read<vring_desc>(index * sizeof(vring_desc));
}

// As fetch() from the queue's own table, whose alignment was checked: two loads.
vring_desc fetch_aligned(const memory::GuestSlice& table, std::uint64_t index) {
  const std::uint64_t at = index * sizeof(vring_desc);
  const std::array<std::uint64_t, 2> words{
      table.load<std::uint64_t>(at, std::memory_order_relaxed),
      table.load<std::uint64_t>(at + 8, std::memory_order_relaxed)};
  return std::bit_cast<vring_desc>(words);
}

class Walk {
 public:
  Walk(const Ring& ring, std::vector<memory::GuestSlice>& parts) : ring_(ring), parts_(parts) {}

  Result<std::size_t> from(std::uint16_t head) {
    const std::uint32_t size = ring_.size();
    std::uint32_t next = head;
    for (std::uint32_t count = 0; count < size; ++count) {
      const vring_desc descriptor = fetch_aligned(ring_.descriptors(), next);
      if ((descriptor.flags & VRING_DESC_F_INDIRECT) != 0) {
        MOTE_CHECK(indirect(descriptor));
        return readable_;
      }
      MOTE_CHECK(add(descriptor));
      if ((descriptor.flags & VRING_DESC_F_NEXT) == 0) return readable_;
      next = descriptor.next;
      if (next >= size) {
        return fail(ErrorKind::kGuest, "a descriptor goes on at descriptor {} of {}", next, size);
      }
    }
    return fail(ErrorKind::kGuest, "the chain at descriptor {} does not end", head);
  }

 private:
  Result<void> indirect(const vring_desc& descriptor) {
    if (!ring_.has(VIRTIO_RING_F_INDIRECT_DESC)) {
      return fail(ErrorKind::kGuest, "an indirect descriptor, which was not negotiated");
    }
    if ((descriptor.flags & VRING_DESC_F_NEXT) != 0) {
      return fail(ErrorKind::kGuest, "an indirect descriptor that has another behind it");
    }
    if (descriptor.len == 0 || descriptor.len % sizeof(vring_desc) != 0) {
      return fail(ErrorKind::kGuest, "an indirect table of {} bytes, not a multiple of {}",
                  descriptor.len, sizeof(vring_desc));
    }
    const auto table =
        ring_.context().memory->find(descriptor.addr, descriptor.len, memory::Access::kRead);
    if (!table) {
      return fail(ErrorKind::kGuest, "an indirect table, {} bytes at {:#x}, not in guest memory",
                  descriptor.len, descriptor.addr);
    }
    const std::uint32_t entries = descriptor.len / sizeof(vring_desc);
    const std::uint32_t limit =
        std::min(entries, std::max<std::uint32_t>(ring_.size(), kMaxIndirectBuffers));
    std::uint32_t next = 0;
    for (std::uint32_t count = 0; count < limit; ++count) {
      const vring_desc entry = fetch(*table, next);
      if ((entry.flags & VRING_DESC_F_INDIRECT) != 0) {
        return fail(ErrorKind::kGuest, "an indirect table inside an indirect table");
      }
      MOTE_CHECK(add(entry));
      if ((entry.flags & VRING_DESC_F_NEXT) == 0) return {};
      next = entry.next;
      if (next >= entries) {
        return fail(ErrorKind::kGuest, "an indirect descriptor goes on at descriptor {} of {}",
                    next, entries);
      }
    }
    return fail(ErrorKind::kGuest, "a chain in an indirect table does not end after {} descriptors",
                limit);
  }

  Result<void> add(const vring_desc& descriptor) {
    const bool writable = (descriptor.flags & VRING_DESC_F_WRITE) != 0;
    if (!writable && seen_writable_) {
      return fail(ErrorKind::kGuest, "a buffer to read behind one to write");
    }
    seen_writable_ = writable;
    if (descriptor.len == 0) return {};
    total_ += descriptor.len;
    if (total_ > kMaxChainBytes) {
      return fail(ErrorKind::kGuest, "a chain of more than {} bytes", kMaxChainBytes);
    }
    const auto slice = ring_.context().memory->find(
        descriptor.addr, descriptor.len, writable ? memory::Access::kWrite : memory::Access::kRead);
    if (!slice) {
      return fail(ErrorKind::kGuest, "a buffer, {} bytes at {:#x}, not in guest memory",
                  descriptor.len, descriptor.addr);
    }
    parts_.push_back(*slice);
    if (!writable) ++readable_;
    return {};
  }

  const Ring& ring_;
  std::vector<memory::GuestSlice>& parts_;
  std::size_t readable_ = 0;
  std::uint64_t total_ = 0;
  bool seen_writable_ = false;
};

}  // namespace

Result<std::size_t> walk_chain(const Ring& ring, std::uint16_t head,
                               std::vector<memory::GuestSlice>& parts) {
  return Walk(ring, parts).from(head);
}

}  // namespace mote::virtio
