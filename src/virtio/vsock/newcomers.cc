// How the device lets host programs in that want a connection to the guest.
#include "base/log.h"
#include "virtio/vsock/device.h"

namespace mote::virtio {

using vsock::Clock;

// The queues are here. Until a restored driver has heard that its connections are gone, host
// programs wait in the backend: it would take a new connection for one of those.
Result<void> Vsock::await_notice_or_let_in() {
  if (!notice_.awaited()) return let_in();
  waits_until_ = Clock::now() + limits_.notice;
  arm(waits_until_);
  return {};
}

void Vsock::serve_events() {
  if (!events_) return;
  common_.metrics.ev_queue_event_fails += notice_.serve(*events_);
  if (!waits_until_ || notice_.awaited()) return;
  waits_until_.reset();
  if (auto listening = let_in(); !listening) failed(listening.error());
}

void Vsock::notice_is_late() {
  log::info(
      "vsock: the guest has not shown that it knows of the end of its connections; host "
      "programs are let in");
  notice_.await_no_more();
  waits_until_.reset();
  if (auto listening = let_in(); !listening) failed(listening.error());
}

Result<void> Vsock::let_in() {
  return backend_->listen([this](std::unique_ptr<vsock::HostStream> stream, std::uint32_t port) {
    newcomer(std::move(stream), port);
  });
}

void Vsock::newcomer(std::unique_ptr<vsock::HostStream> stream, std::uint32_t port) {
  if (connections() >= limits_.connections) {
    ++common_.metrics.conns_refused;
    return;
  }
  const vsock::Ports ports{.host = take_host_port(port), .guest = port};
  begin(std::make_unique<Connection>(ports, std::move(stream), common_));
  fill_rx();
}

std::uint32_t Vsock::take_host_port(std::uint32_t guest_port) {
  // There are more ports than connections.
  std::uint32_t port = 0;
  do {
    port = kFirstHostPort + next_host_port_ % kFirstHostPort;
    next_host_port_ = port + 1;
  } while (connections_.contains({.host = port, .guest = guest_port}));
  return port;
}

}  // namespace mote::virtio
