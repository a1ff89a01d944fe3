// How the device looks for an answer of the host program that it has just given data to.
#include "base/clock.h"
#include "virtio/vsock/device.h"

namespace mote::virtio {

// The guest has sent data to a host program: before it is handed over, which may let that program
// run at once.
void Vsock::asks(const vsock::Ports& ports) {
  if (limits_.answer_window == 0) return;
  asked_ = ports;
  answers_.asked(monotonic_ns());
}

// Data has come in from the connection that was given some last.
void Vsock::heard(const vsock::Ports& ports) {
  if (asked_ != ports) return;
  answers_.answered(monotonic_ns());
  asked_.reset();
}

// Looks for as long as the pace says, unless the guest has more to say. What is there at once is of
// a program that ran on this processor and sleeps by now: the guest is shown it before the program
// hears that its data has gone, so that its wake is not waited for.
void Vsock::await_answer() {
  if (!asked_ || !rx_) return;
  const vsock::Ports ports = *asked_;
  const auto found = connections_.find(ports);
  if (found == connections_.end() || !found->second->hears_host()) return asked_.reset();
  const std::uint64_t end = answers_.look_until();
  if (end == 0) return;
  bool at_once = true;
  do {
    if (found->second->host_has_data()) {
      answers_.came();
      heard(ports);
      // What comes later is of one on another processor, which is still at work: it needs no wake
      // if it hears at once.
      if (!at_once) found->second->release();
      settle(*found->second, found->second->ready({.readable = true}));
      fill_rx();
      const auto still = connections_.find(ports);
      if (still != connections_.end()) still->second->release();
      return;
    }
    at_once = false;
    if (tx_->waiting()) return;
    __builtin_ia32_pause();
  } while (monotonic_ns() < end);
  answers_.dry();
}

}  // namespace mote::virtio
