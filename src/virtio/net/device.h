// The network device (VIRTIO 1.2, 5.1): pairs of queues, one for frames into the guest and one for
// those out of it, between the driver's buffers and a network::Link; and with several pairs a queue
// for commands. Belongs to the machine thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/failure_log.h"
#include "network/link.h"
#include "virtio/device.h"
#include "virtio/net/config.h"
#include "virtio/net/control.h"
#include "virtio/net/metrics.h"
#include "virtio/net/receiver.h"
#include "virtio/net/state.h"
#include "virtio/net/transmitter.h"

namespace mote::virtio {

class Net final : public Device {
 public:
  using Config = NetConfig;
  using State = NetState;

  static constexpr std::uint16_t kQueueSize = 256;
  static constexpr std::uint16_t kControlQueueSize = 64;

  // Checks `config` and opens its tap, in front of which the machine may put something. Errors name
  // the interface.
  static Result<std::unique_ptr<Net>> create(const NetConfig& config,
                                             const DeviceServices& services);
  // As create(), for a driver that knows the device as `state` says. A MAC address of `config` that
  // is another counts, and the driver is told that the configuration changed. An error when the
  // number of queues is another (kInvalid).
  static Result<std::unique_ptr<Net>> restore(const NetConfig& config,
                                              const DeviceServices& services,
                                              const NetState& state);
  // A device on any link, with as many pairs as it has lanes: `config` says the rest, and was
  // checked.
  static Result<std::unique_ptr<Net>> create(const NetConfig& config,
                                             const DeviceServices& services,
                                             std::unique_ptr<network::Link> link);
  static Result<std::unique_ptr<Net>> restore(const NetConfig& config,
                                              const DeviceServices& services, const NetState& state,
                                              std::unique_ptr<network::Link> link);

  NetState save() const;
  // Sets limits while the device runs: those that are given; see RateLimiter::update().
  Result<void> update_limits(const std::optional<RateLimiterConfig>& rx,
                             const std::optional<RateLimiterConfig>& tx);
  const NetMetrics& metrics() const { return *metrics_; }
  const network::Link& link() const { return *link_; }

  DeviceTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> into) const override;
  Result<void> start(std::uint16_t index, Queue queue) override;
  std::optional<Queue> stop(std::uint16_t index) override;
  void kick(std::uint16_t index) override;
  void reset() override;

 private:
  Net(const NetConfig& config, const DeviceServices& services, std::unique_ptr<network::Link> link);

  // What a queue is, which depends on what was negotiated.
  enum class Role { kReceive, kTransmit, kControl, kNone };
  Role role_of(std::uint16_t index) const;
  std::uint32_t pairs() const { return link_->lanes(); }

  Result<void> negotiate(std::uint64_t features);
  bool use_pairs(std::uint16_t pairs);
  void make_limiters(EventLoop& loop);
  void transmit(unsigned lane);
  void link_ready(unsigned lane, network::Link::Readiness readiness);
  void report(const Error& error);

  std::string name_;
  std::optional<network::MacAddress> mac_;
  std::optional<std::uint32_t> mtu_;
  std::unique_ptr<NetMetrics> metrics_ = std::make_unique<NetMetrics>();
  std::unique_ptr<network::Link> link_;
  std::unique_ptr<RateLimiter> rx_limiter_;
  std::unique_ptr<RateLimiter> tx_limiter_;
  std::vector<std::unique_ptr<Receiver>> receivers_;  // one a lane, as those below
  std::vector<std::unique_ptr<Transmitter>> transmitters_;
  Control control_;
  std::optional<std::uint64_t> negotiated_;  // features; empty: no queue was started since a reset
  std::uint32_t active_ = 1;                 // pairs that the driver uses
  bool tell_config_ = false;                 // the driver of a restored device read another address
  bool restored_ = false;     // and has not run since: the network is to learn where it is
  log::FailureLog failures_;  // of the link
};

}  // namespace mote::virtio
