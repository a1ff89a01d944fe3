// ResetNotice tells a driver that was restored that its connections are gone (VIRTIO 1.2,
// 5.10.6.7), and finds out when it is through with that. It resets every connection that it knows
// then, also one that has begun since: so it must not be asked for one before.
//
// A driver gives the buffer of an event back when it is through with the event, which is how it is
// known. Belongs to the machine thread.
#pragma once

#include <cstdint>

#include "virtio/queue/queue.h"

namespace mote::virtio::vsock {

class ResetNotice {
 public:
  // A driver that is to be told, and waited for.
  void owe() { owed_ = awaited_ = true; }
  // It has started anew, and knows no connections.
  void drop() { owed_ = awaited_ = false; }
  bool awaited() const { return awaited_; }
  // It is told as soon as it can be, and nobody waits for that.
  void await_no_more() { awaited_ = false; }

  // Tells the driver where it has a buffer for that, and looks whether it is through. How many of
  // its buffers were of no use, with the ring itself.
  std::uint64_t serve(Queue& events);

 private:
  bool owed_ = false;
  bool awaited_ = false;
  // How many buffers the driver had offered, modulo 65536, before it was told.
  std::uint16_t told_at_ = 0;
};

}  // namespace mote::virtio::vsock
