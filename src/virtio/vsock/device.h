// The socket device (VIRTIO 1.2, 5.10): streams between ports of the guest and ports of the host,
// which a vsock::HostBackend makes real. Belongs to the machine thread.
//
// Whatever is for the guest waits in two bounded lists until the rx queue has a chain for it:
// resets for connections that are not there, and the connections themselves that have a packet.
// Payload never waits here: it stays in the host's socket until the guest has room and credit. So
// packets of the guest can always be taken.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>

#include "virtio/device.h"
#include "virtio/vsock/answer_pace.h"
#include "virtio/vsock/config.h"
#include "virtio/vsock/connection.h"
#include "virtio/vsock/host.h"
#include "virtio/vsock/metrics.h"
#include "virtio/vsock/reset_notice.h"
#include "virtio/vsock/state.h"

namespace mote::virtio {

class Vsock final : public Device {
 public:
  using Config = VsockConfig;
  using State = VsockState;

  static constexpr std::uint16_t kQueueSize = 256;
  static constexpr std::uint16_t kRx = 0;
  static constexpr std::uint16_t kTx = 1;
  static constexpr std::uint16_t kEvents = 2;
  // Connections from the host get their ports from here on, up to twice that.
  static constexpr std::uint32_t kFirstHostPort = 1U << 30;

  struct Limits {
    std::size_t connections = 1023;
    std::size_t resets = 1024;  // that wait for the guest
    vsock::Times times = {};
    // How long a packet that was taken may wait to be given back together with the next one for the
    // guest: an answer mostly follows, and then one interrupt is for both. 0: not at all.
    std::chrono::nanoseconds tx_delay = std::chrono::milliseconds(1);
    // How long an answer of a host program is looked for at most, in nanoseconds; 0: not at all. A
    // processor that looks must not be the one that the program runs on.
    std::uint64_t answer_window =
        std::thread::hardware_concurrency() > 1 ? vsock::AnswerPace::kMostWindow : 0;
    // How long a restored driver that does not say that it has heard of the reset keeps host
    // programs waiting, from when the machine goes on.
    std::chrono::nanoseconds notice = std::chrono::seconds(5);
  };

  // Checks `config` and makes its socket.
  static Result<std::unique_ptr<Vsock>> create(const VsockConfig& config,
                                               const DeviceServices& services);
  // As create(), for a driver that may have connections: it is told that they are gone.
  static Result<std::unique_ptr<Vsock>> restore(const VsockConfig& config,
                                                const DeviceServices& services,
                                                const VsockState& state);
  // The socket stays when the device goes.
  void leave_socket() { backend_->leave_name(); }
  // A device over any backend.
  static Result<std::unique_ptr<Vsock>> over(std::uint32_t guest_cid,
                                             std::unique_ptr<vsock::HostBackend> backend,
                                             EventLoop& loop, const Limits& limits,
                                             const VsockState* state = nullptr);
  ~Vsock() override;

  VsockState save() const { return {.next_host_port = next_host_port_}; }
  VsockMetrics metrics() const;
  // Connections, those included whose data still drains to the host.
  std::size_t connections() const { return connections_.size() + draining_.size(); }

  DeviceTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> into) const override;
  Result<void> start(std::uint16_t index, Queue queue) override;
  std::optional<Queue> stop(std::uint16_t index) override;
  void kick(std::uint16_t index) override;
  void reset() override;

 private:
  using Connection = vsock::Connection;
  using Header = vsock::Header;

  // A reset for a connection that this side does not know, or not any more.
  struct Reset {
    std::uint64_t host_cid = 0;
    vsock::Ports ports;
    std::uint16_t type = 0;
  };

  Vsock(std::uint32_t guest_cid, std::unique_ptr<vsock::HostBackend> backend, const Limits& limits);

  // The guest's packets
  void serve_tx();
  void take(Chain chain);
  void dispatch(const Header& header, ChainReader& payload);
  void connect_to_host(const Header& request);
  // Packets for the guest
  void fill_rx();
  void flush();
  void give(Chain chain);
  void owe_reset(const Reset& reset);
  // Answers, in answers.cc
  void asks(const vsock::Ports& ports);
  void heard(const vsock::Ports& ports);
  void await_answer();
  // Host programs, in newcomers.cc
  Result<void> await_notice_or_let_in();
  void serve_events();
  void notice_is_late();
  Result<void> let_in();
  void newcomer(std::unique_ptr<vsock::HostStream> stream, std::uint32_t port);
  std::uint32_t take_host_port(std::uint32_t guest_port);
  // Connections
  void begin(std::unique_ptr<Connection> connection);
  void settle(Connection& connection, vsock::Outcome outcome);
  void remove(Connection& connection);
  void arm(std::optional<vsock::Clock::time_point> deadline);
  void expire();

  const Limits limits_;
  std::unique_ptr<vsock::HostBackend> backend_;
  vsock::Common common_;
  std::optional<Queue> rx_;
  std::optional<Queue> tx_;
  std::optional<Queue> events_;
  std::unordered_map<vsock::Ports, std::unique_ptr<Connection>, vsock::PortsHash> connections_;
  std::unordered_map<const Connection*, std::unique_ptr<Connection>> draining_;
  // Connections that have a packet for the guest, in the order of their turns.
  boost::intrusive::list<Connection, boost::intrusive::constant_time_size<false>> turns_;
  std::deque<Reset> resets_;
  std::uint32_t next_host_port_ = kFirstHostPort;
  vsock::ResetNotice notice_;
  // Until when host programs wait for the driver to have heard, where they do.
  std::optional<vsock::Clock::time_point> waits_until_;
  EventLoop::Timer timer_;
  std::optional<vsock::Clock::time_point> armed_for_;
  std::uint32_t taken_ = 0;  // packets that the driver has not got back
  EventLoop::Timer flush_timer_;
  bool flush_armed_ = false;
  std::optional<vsock::Ports> asked_;  // whose host program was given data last, and is silent yet
  vsock::AnswerPace answers_;
};

}  // namespace mote::virtio
