// Queue is the device's side of a split virtqueue (VIRTIO 1.2, 2.7): it takes chains that the
// driver made available, checked whole, and hands them back used. Indirect descriptors, event index
// and the suppression of notifications both ways are inside. Everything here belongs to the thread
// that runs the device.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"
#include "memory/guest_memory.h"
#include "virtio/queue/chain.h"
#include "virtio/queue/ring_abi.h"
#include "virtio/queue/state.h"

namespace mote::virtio {

inline constexpr std::uint32_t kMaxQueueSize = 32768;

// Features of the ring itself (VIRTIO_F_VERSION_1, VIRTIO_RING_F_INDIRECT_DESC,
// VIRTIO_RING_F_EVENT_IDX): every transport offers them for every device.
inline constexpr std::uint64_t kRingFeatures = std::uint64_t{1} << VIRTIO_F_VERSION_1 |
                                               std::uint64_t{1} << VIRTIO_RING_F_INDIRECT_DESC |
                                               std::uint64_t{1} << VIRTIO_RING_F_EVENT_IDX;

// Where the driver put a queue, as it said and unchecked.
struct QueueAddresses {
  std::uint32_t size = 0;
  std::uint64_t descriptors = 0;
  std::uint64_t driver = 0;  // the available ring
  std::uint64_t device = 0;  // the used ring
};

// How the driver's kicks come to a device: as a call of kick() on its thread, some time after; or
// first as a call of kick_here() on the thread of the vCPU that kicks, which waits for it.
enum class KickRoute : std::uint8_t { kEvent, kHere };

// Whom a queue tells what happens in it: the transport. Called on the queue's thread.
class QueueHost {
 public:
  virtual ~QueueHost() = default;
  // The driver is to get an interrupt for queue `index`.
  virtual void used(std::uint16_t index) = 0;
  // Whether an interrupt for any queue makes the driver look at all of them.
  virtual bool one_interrupt() const { return false; }
  // The ring of queue `index` lies, as `error` says; it yields nothing from now on. Called once a
  // queue.
  virtual void broken(std::uint16_t index, const Error& error) = 0;
  // The device wants a kick of queue `index` soon, after others have had their turn.
  virtual void again(std::uint16_t index) = 0;
  // The driver's kicks of queue `index` are to come so from now on; some may still come the other
  // way. False: they cannot. They come as events at first.
  virtual bool route_kicks(std::uint16_t /*index*/, KickRoute /*route*/) { return false; }
  // Eventfds, for whoever runs queue `index` in another process: the driver's kicks arrive in the
  // one, and the other interrupts the driver; -1: this host has none.
  virtual int kick_fd(std::uint16_t /*index*/) const { return -1; }
  virtual int interrupt_fd(std::uint16_t /*index*/) const { return -1; }
};

// What another process needs to run a queue.
struct QueueWiring {
  QueueAddresses addresses;
  std::uint16_t next_avail = 0;  // where it goes on
  int kick_fd = -1;              // as QueueHost's, which keeps them
  int interrupt_fd = -1;
};

// What a queue needs to know beside its addresses.
struct QueueContext {
  const memory::GuestMemory* memory = nullptr;
  QueueHost* host = nullptr;
  std::uint16_t index = 0;
  std::uint32_t max_size = 0;
  std::uint64_t features = 0;  // negotiated, all of them
};

class Queue {
 public:
  // Checks what the driver said. Errors (kGuest): a size that is no power of two from 1 to the
  // smaller of context.max_size and 32768; a descriptor table, available ring or used ring that is
  // not aligned to 16, 2 and 4 bytes or not inside guest memory.
  static Result<Queue> create(const QueueContext& context, const QueueAddresses& addresses);
  // As create(), going on where a queue was saved. Errors (kInvalid): a state with chains in
  // flight.
  static Result<Queue> restore(const QueueContext& context, const QueueAddresses& addresses,
                               const QueueState& state);
  Queue(Queue&&) noexcept = default;
  Queue& operator=(Queue&&) noexcept = default;

  // The next chain; empty: none is waiting. An error (kGuest): the ring lies; the host has been
  // told, and from now on the queue is empty.
  Result<std::optional<Chain>> next();

  // Undoes the next() that yielded `chain`, which must be the last that was taken, with nothing
  // written to it: the next one yields it again, whole.
  void put_back(Chain chain);

  // Shows the driver all chains completed since the last call, and asks the host for an interrupt
  // when the driver wants one. Once a batch.
  void flush();
  // The two halves of flush(): publish() shows them, and is true when there was anything new;
  // tell() asks for the interrupt, for all that was shown since it was called last. `heard`: the
  // driver has been interrupted since the last publish(), for another queue of this device; where
  // one interrupt tells of all queues, that was enough. True: it asked for one.
  bool publish();
  bool tell(bool heard = false);

  // Whether next() would find something: a look at the ring, cheap enough to repeat.
  bool waiting() const;

  // Tells the driver that kicks are not needed. A hint: some come nevertheless.
  void disable_notifications();
  // Asks for a kick with the next chain. True: chains came in meanwhile, for which there may be no
  // kick; take them first.
  bool enable_notifications();

  // How many chains the driver has offered, modulo 65536, as it says.
  std::uint16_t offered() const;
  // Asks for a kick when it offers one more than `offered`, though others wait. It may have done so
  // meanwhile, unless it does that only when it has seen what is published after this.
  void ask_for_kick_at(std::uint16_t offered);

  // Asks the host for a kick soon.
  void again();
  // As QueueHost::route_kicks().
  bool route_kicks(KickRoute route);

  std::uint16_t index() const;
  std::uint16_t size() const;
  // What the driver acknowledged, ring and device features.
  std::uint64_t features() const;
  bool broken() const;
  // Chains taken and not completed.
  std::uint32_t in_flight() const;
  // Chains that died without being completed: each a defect of a device.
  std::uint64_t forgotten() const;

  // Needs in_flight() == 0 and a flush().
  QueueState save() const;

  // For a queue that another process runs, while this object stands by: what that one needs; where
  // it stopped, with nothing in flight; and where the driver sees that it is, which is all that is
  // known of one that died.
  QueueWiring wiring() const;
  void stopped_at(std::uint16_t next_avail);
  std::uint16_t used_index() const;

 private:
  explicit Queue(std::shared_ptr<Ring> ring) : ring_(std::move(ring)) {}
  std::shared_ptr<Ring> ring_;  // shared with the chains that are out
};

}  // namespace mote::virtio
