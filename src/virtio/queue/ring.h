// Ring is what a Queue and its chains share: the three rings in guest memory, how far this side has
// come in them, and the room for descriptors that chains reuse. Belongs to the queue's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "virtio/queue/queue.h"

namespace mote::virtio {

class Ring {
 public:
  // As Queue::create().
  static Result<std::shared_ptr<Ring>> create(const QueueContext& context,
                                              const QueueAddresses& addresses);

  // The head of the next chain; empty: none is waiting. An error when the available ring lies.
  Result<std::optional<std::uint16_t>> take_head();
  // A head that was taken leads to no chain: nothing is owed for it.
  void drop_taken() { --in_flight_; }
  // The head taken last waits again.
  void untake() {
    --next_avail_;
    --in_flight_;
  }
  // Whether a chain is waiting, by what the driver last published.
  bool waiting() const { return offered() != next_avail_; }
  // The available index, as the driver last published it.
  std::uint16_t offered() const;

  // Puts a chain into the used ring; seen by the driver after publish().
  void push_used(std::uint16_t head, std::uint32_t length);
  bool publish();
  // Whether the driver wants to hear of what was published since this was asked last.
  bool interrupt_wanted();

  // avail_event, or VRING_USED_F_NO_NOTIFY.
  void ask_for_kicks() { ask_for_kicks_at(next_avail_); }
  void ask_for_kicks_at(std::uint16_t index);
  void refuse_kicks();

  // A vector to collect a chain's buffers in, and its way back.
  std::vector<memory::GuestSlice> borrow_parts();
  void return_parts(std::vector<memory::GuestSlice> parts);

  // The ring lies: remembers it and tells the host, once.
  void set_broken(const Error& error);

  const QueueContext& context() const { return context_; }
  const QueueAddresses& addresses() const { return addresses_; }
  // The used index as it stands in guest memory.
  std::uint16_t used_index() const;
  const memory::GuestSlice& descriptors() const { return descriptors_; }
  std::uint16_t size() const { return size_; }
  bool has(unsigned feature) const { return (context_.features >> feature & 1) != 0; }
  bool broken() const { return broken_; }
  std::uint32_t in_flight() const { return in_flight_; }
  std::uint64_t forgotten() const { return forgotten_; }
  void count_forgotten() { ++forgotten_; }

  QueueState save() const { return {.next_avail = next_avail_, .next_used = next_used_}; }
  void load(const QueueState& state);

 private:
  Ring(const QueueContext& context, const QueueAddresses& addresses)
      : context_(context),
        addresses_(addresses),
        size_(static_cast<std::uint16_t>(addresses.size)) {}

  std::uint64_t driver_event_offset() const { return 4 + 2 * std::uint64_t{size_}; }
  std::uint64_t device_event_offset() const { return 4 + 8 * std::uint64_t{size_}; }

  QueueContext context_;
  QueueAddresses addresses_;
  std::uint16_t size_;  // a power of two
  bool broken_ = false;
  memory::GuestSlice descriptors_;
  memory::GuestSlice available_;
  memory::GuestSlice used_;
  std::uint16_t next_avail_ = 0;
  std::uint16_t next_used_ = 0;  // where the next used element goes
  std::uint16_t published_ = 0;  // the used index that the driver sees
  std::uint16_t signalled_ = 0;  // published_ when interrupt_wanted() was asked last
  std::uint32_t in_flight_ = 0;
  std::uint64_t forgotten_ = 0;
  std::vector<std::vector<memory::GuestSlice>> spare_parts_;
};

}  // namespace mote::virtio
