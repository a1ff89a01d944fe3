#include "virtio/queue/ring.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "virtio/queue/fences.h"

namespace mote::virtio {
namespace {

// Flags are the first field of both rings; vring_avail and vring_used.
constexpr std::uint64_t kFlagsOffset = 0;
constexpr std::uint64_t kIndexOffset = 2;
constexpr std::uint64_t kEntriesOffset = 4;

// Vectors kept for reuse: so many that a busy queue allocates nothing, so small that a guest with
// long chains cannot make the monitor keep much (512 KiB a queue).
constexpr std::size_t kSpareVectors = 32;
constexpr std::size_t kSpareCapacity = 512;

Result<memory::GuestSlice> translate(const memory::GuestMemory& memory, const char* what,
                                     std::uint64_t address, std::uint64_t length,
                                     std::uint64_t alignment) {
  if (address % alignment != 0) {
    return fail(ErrorKind::kGuest, "its {} at {:#x} is not aligned to {} bytes", what, address,
                alignment);
  }
  const auto slice = memory.find(address, length);
  if (!slice) {
    return fail(ErrorKind::kGuest, "its {}, {} bytes at {:#x}, is not in guest memory", what,
                length, address);
  }
  return *slice;
}

}  // namespace

Result<std::shared_ptr<Ring>> Ring::create(const QueueContext& context,
                                           const QueueAddresses& addresses) {
  const std::uint32_t largest = std::min(context.max_size, kMaxQueueSize);
  if (!std::has_single_bit(addresses.size) || addresses.size > largest) {
    return fail(ErrorKind::kGuest, "its size {} is not a power of two from 1 to {}", addresses.size,
                largest);
  }
  const std::uint64_t size = addresses.size;
  const memory::GuestMemory& memory = *context.memory;
  std::shared_ptr<Ring> ring(new Ring(context, addresses));
  MOTE_TRY(ring->descriptors_, translate(memory, "descriptor table", addresses.descriptors,
                                         sizeof(vring_desc) * size, VRING_DESC_ALIGN_SIZE));
  MOTE_TRY(ring->available_, translate(memory, "available ring", addresses.driver,
                                       ring->driver_event_offset() + 2, VRING_AVAIL_ALIGN_SIZE));
  MOTE_TRY(ring->used_, translate(memory, "used ring", addresses.device,
                                  ring->device_event_offset() + 2, VRING_USED_ALIGN_SIZE));
  return ring;
}

std::uint16_t Ring::used_index() const {
  return used_.load<std::uint16_t>(kIndexOffset, std::memory_order_acquire);
}

Result<std::optional<std::uint16_t>> Ring::take_head() {
  const std::uint16_t available = fences::take_available_index(available_);
  const auto waiting = static_cast<std::uint16_t>(available - next_avail_);
  if (waiting == 0) return std::nullopt;
  // What this side holds counts too: the driver has not got those descriptors back.
  const std::uint32_t offered =
      std::uint32_t{waiting} + static_cast<std::uint16_t>(next_avail_ - published_);
  if (offered > size_) {
    return fail(ErrorKind::kGuest, "its available index {} is {} ahead, more than its size {}",
                available, offered, size_);
  }
  const std::uint64_t slot = next_avail_ & (size_ - 1U);
  const auto head =
      available_.load<std::uint16_t>(kEntriesOffset + 2 * slot, std::memory_order_relaxed);
  if (head >= size_) {
    return fail(ErrorKind::kGuest, "available entry {} names descriptor {} of {}", next_avail_,
                head, size_);
  }
  ++next_avail_;
  ++in_flight_;
  return head;
}

std::uint16_t Ring::offered() const { return fences::take_available_index(available_); }

void Ring::push_used(std::uint16_t head, std::uint32_t length) {
  const std::uint64_t element = kEntriesOffset + 8 * std::uint64_t{next_used_ & (size_ - 1U)};
  used_.store<std::uint32_t>(element, head, std::memory_order_relaxed);
  used_.store<std::uint32_t>(element + 4, length, std::memory_order_relaxed);
  ++next_used_;
  --in_flight_;
}

bool Ring::publish() {
  if (next_used_ == published_) return false;
  published_ = next_used_;
  fences::publish_used_index(used_, published_);
  return true;
}

bool Ring::interrupt_wanted() {
  const std::uint16_t before = std::exchange(signalled_, published_);
  if (before == published_) return false;
  fences::after_publishing_used();
  if (has(VIRTIO_RING_F_EVENT_IDX)) {
    const auto event =
        available_.load<std::uint16_t>(driver_event_offset(), std::memory_order_relaxed);
    return vring_need_event(event, published_, before) != 0;
  }
  const auto flags = available_.load<std::uint16_t>(kFlagsOffset, std::memory_order_relaxed);
  return (flags & VRING_AVAIL_F_NO_INTERRUPT) == 0;
}

void Ring::ask_for_kicks_at(std::uint16_t index) {
  if (has(VIRTIO_RING_F_EVENT_IDX)) {
    used_.store<std::uint16_t>(device_event_offset(), index, std::memory_order_relaxed);
  } else {
    used_.store<std::uint16_t>(kFlagsOffset, 0, std::memory_order_relaxed);
  }
  fences::after_asking_for_kicks();
}

void Ring::refuse_kicks() {
  // With the event index nothing is to be done: the driver kicks only when it passes avail_event,
  // which stays behind until ask_for_kicks().
  if (!has(VIRTIO_RING_F_EVENT_IDX)) {
    used_.store<std::uint16_t>(kFlagsOffset, VRING_USED_F_NO_NOTIFY, std::memory_order_relaxed);
  }
}

std::vector<memory::GuestSlice> Ring::borrow_parts() {
  if (spare_parts_.empty()) return {};
  auto parts = std::move(spare_parts_.back());
  spare_parts_.pop_back();
  return parts;
}

void Ring::return_parts(std::vector<memory::GuestSlice> parts) {
  if (spare_parts_.size() == kSpareVectors || parts.capacity() > kSpareCapacity) return;
  parts.clear();
  spare_parts_.push_back(std::move(parts));
}

void Ring::set_broken(const Error& error) {
  if (broken_) return;
  broken_ = true;
  context_.host->broken(context_.index, error);
}

void Ring::load(const QueueState& state) {
  next_avail_ = state.next_avail;
  next_used_ = published_ = signalled_ = state.next_used;
}

}  // namespace mote::virtio
