#include "virtio/vsock/reset_notice.h"

#include <linux/virtio_vsock.h>

namespace mote::virtio::vsock {

std::uint64_t ResetNotice::serve(Queue& events) {
  if (!owed_ && awaited_ && events.offered() != told_at_) awaited_ = false;
  std::uint64_t useless = 0;
  std::uint32_t budget = events.size();
  while (owed_) {
    // A driver may offer useless ones as fast as they are given back.
    if (budget-- == 0) {
      events.again();
      break;
    }
    told_at_ = events.offered();
    auto chain = events.next();
    if (!chain) {
      ++useless;
      break;
    }
    if (!*chain) {
      if (events.enable_notifications()) continue;
      break;
    }
    const virtio_vsock_event event{.id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET};
    if ((*chain)->out().write(event)) {
      // Before the driver can see the event, so that its kick is not missed.
      events.ask_for_kick_at(told_at_);
      owed_ = false;
    } else {
      ++useless;
    }
    std::move(**chain).complete();
  }
  events.flush();
  return useless;
}

}  // namespace mote::virtio::vsock
