// Transmitter is one way out of the guest: frames straight from the driver's buffers into a lane of
// the link.
#pragma once

#include <optional>
#include <vector>

#include "network/mac_address.h"
#include "virtio/net/receiver.h"

namespace mote::virtio {

class Transmitter {
 public:
  // Frames whose source is another than `mac`, where there is one, are counted.
  Transmitter(LaneParts parts, std::optional<network::MacAddress> mac)
      : parts_(std::move(parts)), mac_(mac) {}

  void start(Queue queue);
  // Gives the queue back with nothing in flight; what was not sent stays in it.
  std::optional<Queue> stop();
  // The driver has frames, or the queue asked for its turn. It is not told of all that has left:
  // tell() does that, soon. True: some have.
  bool kick();
  // Lets the driver hear of what has left. `heard`: see Queue::tell().
  void tell(bool heard);
  // The link takes frames again.
  void link_ready();
  // The limiter lets frames pass again.
  void limiter_ready();

 private:
  bool run();
  bool send(Chain& chain);
  void check_source(ChainReader frame);
  void failed(const Error& error);

  LaneParts parts_;
  std::optional<network::MacAddress> mac_;
  std::optional<Queue> queue_;
  bool blocked_ = false;  // the link takes nothing now, and says when it does
  bool gone_ = false;     // the link
  Pace pace_;
  std::vector<iovec> iovecs_;
};

}  // namespace mote::virtio
