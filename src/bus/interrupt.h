// An interrupt line as a device sees it: something to trigger, from any thread.
#pragma once

#include <utility>

#include "base/unique_fd.h"

namespace mote::bus {

class Interrupt {
 public:
  virtual ~Interrupt() = default;
  // Raises the interrupt once (an edge).
  virtual void trigger() = 0;
  // As trigger(), on the thread of a vCPU, which meets it as soon as it goes on.
  virtual void trigger_here() { trigger(); }
  // An eventfd that another process may use to the same end; -1: there is none.
  virtual int fd() const { return -1; }
};

// An interrupt that is an eventfd, which KVM's irqfd turns into one without a system call of ours
// beyond the write.
class EventFdInterrupt final : public Interrupt {
 public:
  static Result<EventFdInterrupt> create() {
    MOTE_TRY(UniqueFd fd, make_eventfd());
    return EventFdInterrupt(std::move(fd));
  }
  void trigger() override { signal_eventfd(fd_.get()); }
  int fd() const override { return fd_.get(); }

 private:
  explicit EventFdInterrupt(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace mote::bus
