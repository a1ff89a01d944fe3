// Receiver is one way into the guest: frames from a lane of the link, straight into the driver's
// buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/event_loop.h"
#include "network/link.h"
#include "virtio/net/metrics.h"
#include "virtio/net/pace.h"
#include "virtio/queue/queue.h"
#include "virtio/rate_limiter.h"

namespace mote::virtio {

// What a lane needs of its device. All outlive it.
struct LaneParts {
  EventLoop& loop;
  network::Link& link;
  unsigned lane = 0;
  NetMetrics& metrics;
  RateLimiter* limiter = nullptr;  // of all frames that go this way
  // Logs a failure of the link.
  std::function<void(const Error& error)> report;
};

class Receiver {
 public:
  explicit Receiver(LaneParts parts) : parts_(std::move(parts)) {}

  // Takes the queue; frames come in from the next kick() or link_ready() on.
  void start(Queue queue);
  // Gives it back with nothing in flight. A frame for which the driver had not given all the room
  // is lost.
  std::optional<Queue> stop();
  // The driver has given buffers, or the queue asked for its turn.
  void kick();
  // The link has frames.
  void link_ready();
  // The limiter lets frames pass again.
  void limiter_ready();
  // Frames may have come in, and the link has not said so yet. True: the driver was interrupted.
  bool poll();

 private:
  // A chain that waits for frames, all of its room lent.
  struct Buffer {
    Chain chain;
    std::uint64_t room = 0;
    std::size_t parts = 0;  // of iovecs_
  };
  // What a frame met on its way.
  enum class Step { kDelivered, kNothing, kNoRoom, kHeldBack };

  // True: the driver was interrupted.
  bool run();
  Step step();
  Step take_frame();
  Step settle();
  bool gather();
  bool add(Chain chain);
  void deliver();
  void give_up_frame();
  void put_buffers_back();
  void drop_front(std::size_t buffers);
  void wait_for_room();
  void patience_ends();

  std::size_t lent_parts() const { return iovecs_.size() - first_iovec_; }
  std::span<const iovec> lend_with_spill();

  LaneParts parts_;
  std::optional<Queue> queue_;
  bool mergeable_ = false;  // a frame may go over several chains
  bool gone_ = false;       // the link
  bool full_ = false;       // as many parts are lent as a system call takes

  std::vector<Buffer> buffers_;  // those before first_buffer_ are used
  std::size_t first_buffer_ = 0;
  std::vector<iovec> iovecs_;  // of buffers_
  std::size_t first_iovec_ = 0;
  std::uint64_t room_ = 0;  // of buffers_

  Pace pace_;
  // A frame that has been taken and waits for room. Its first `direct_` bytes lie in buffers_, what
  // did not fit is in spill_.
  std::uint64_t frame_ = 0;  // bytes; 0: there is none
  std::uint64_t direct_ = 0;
  std::unique_ptr<std::byte[]> spill_;  // made when a frame may not fit
  std::uint64_t frames_taken_ = 0;
  std::uint64_t frame_waited_for_ = 0;  // frames_taken_ when patience_ was set
  std::optional<EventLoop::Timer> patience_;
  bool patience_set_ = false;
};

}  // namespace mote::virtio
