#include "virtio/net/device.h"

#include <linux/virtio_ids.h>
#include "virtio/net/net_abi.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "network/tap.h"
#include "virtio/net/announce.h"
#include "virtio/net/features.h"

namespace mote::virtio {
namespace {

// Configuration space as far as it is there: behind it come a speed and hashes, which are not
// offered.
constexpr std::uint32_t kConfigSize = offsetof(virtio_net_config, speed);

constexpr std::uint64_t feature(unsigned bit) { return std::uint64_t{1} << bit; }

Result<std::unique_ptr<network::Link>> open_link(const NetConfig& config,
                                                 const DeviceServices& services) {
  MOTE_CHECK(check(config));
  auto tap = config.host_dev_name ? network::Tap::open(*config.host_dev_name, config.num_queues)
                                  : network::Tap::adopt(config.tap_fds);
  if (!tap) {
    return std::unexpected(
        std::move(tap.error()).within(fmt::format("interface '{}'", config.iface_id)));
  }
  if (!services.in_front_of_link) return std::move(*tap);
  return services.in_front_of_link(config.iface_id, std::move(*tap));
}

}  // namespace

Net::Net(const NetConfig& config, const DeviceServices& services,
         std::unique_ptr<network::Link> link)
    : name_(fmt::format("interface '{}'", config.iface_id)),
      mtu_(config.mtu),
      link_(std::move(link)),
      control_(*metrics_, [this](std::uint16_t pairs) { return use_pairs(pairs); }) {
  if (config.guest_mac) mac_ = network::parse_mac(*config.guest_mac);
  make_limiters(services.loop);
  for (unsigned lane = 0; lane < link_->lanes(); ++lane) {
    LaneParts parts{.loop = services.loop,
                    .link = *link_,
                    .lane = lane,
                    .metrics = *metrics_,
                    .limiter = rx_limiter_.get(),
                    .report = [this](const Error& error) { report(error); }};
    receivers_.push_back(std::make_unique<Receiver>(parts));
    parts.limiter = tx_limiter_.get();
    transmitters_.push_back(std::make_unique<Transmitter>(parts, mac_));
  }
}

Result<std::unique_ptr<Net>> Net::create(const NetConfig& config, const DeviceServices& services,
                                         std::unique_ptr<network::Link> link) {
  std::unique_ptr<Net> net(new Net(config, services, std::move(link)));
  // A driver that knows nothing of pairs uses the first.
  MOTE_CHECK(net->link_->use_lanes(net->active_));
  MOTE_CHECK(net->link_->watch(
      services.loop, [device = net.get()](unsigned lane, network::Link::Readiness readiness) {
        device->link_ready(lane, readiness);
      }));
  MOTE_CHECK(net->update_limits(config.rx_rate_limiter, config.tx_rate_limiter));
  return net;
}

Result<std::unique_ptr<Net>> Net::create(const NetConfig& config, const DeviceServices& services) {
  MOTE_TRY(auto link, open_link(config, services));
  return create(config, services, std::move(link));
}

Result<std::unique_ptr<Net>> Net::restore(const NetConfig& config, const DeviceServices& services,
                                          const NetState& state) {
  MOTE_TRY(auto link, open_link(config, services));
  return restore(config, services, state, std::move(link));
}

Result<std::unique_ptr<Net>> Net::restore(const NetConfig& config, const DeviceServices& services,
                                          const NetState& state,
                                          std::unique_ptr<network::Link> link) {
  if (state.num_queues != link->lanes() || state.active_queues < 1 ||
      state.active_queues > state.num_queues) {
    return fail(ErrorKind::kInvalid,
                "interface '{}' was saved with {} of {} queues in use and now has {}: it cannot go "
                "on",
                config.iface_id, state.active_queues, state.num_queues, link->lanes());
  }
  // Its driver has read these, and goes by them; but an address that is another now is shown to it.
  NetConfig known = config;
  if (!state.guest_mac || !config.guest_mac) known.guest_mac = state.guest_mac;
  known.mtu = state.mtu;
  MOTE_CHECK(check(known));
  MOTE_TRY(auto net, create(known, services, std::move(link)));
  net->tell_config_ = state.guest_mac && net->mac_ != network::parse_mac(*state.guest_mac);
  net->restored_ = true;
  net->active_ = state.active_queues;
  MOTE_CHECK(net->link_->use_lanes(net->active_));
  MOTE_CHECK(net->rx_limiter_->restore(state.rx_rate_limiter));
  MOTE_CHECK(net->tx_limiter_->restore(state.tx_rate_limiter));
  return net;
}

NetState Net::save() const {
  NetState state{.mtu = mtu_,
                 .num_queues = pairs(),
                 .active_queues = active_,
                 .rx_rate_limiter = rx_limiter_->save(),
                 .tx_rate_limiter = tx_limiter_->save()};
  if (mac_) state.guest_mac = network::to_string(*mac_);
  return state;
}

Result<void> Net::update_limits(const std::optional<RateLimiterConfig>& rx,
                                const std::optional<RateLimiterConfig>& tx) {
  // What may fail comes first, so that an error changes neither.
  if (rx) MOTE_CHECK(rx_limiter_->prepare());
  if (tx) MOTE_CHECK(tx_limiter_->prepare());
  if (rx) MOTE_CHECK(rx_limiter_->update(*rx));
  if (tx) MOTE_CHECK(tx_limiter_->update(*tx));
  return {};
}

void Net::make_limiters(EventLoop& loop) {
  rx_limiter_ = std::make_unique<RateLimiter>(loop, [this] {
    ++metrics_->rx_event_rate_limiter_count;
    for (std::uint32_t lane = 0; lane < active_; ++lane) receivers_[lane]->limiter_ready();
  });
  tx_limiter_ = std::make_unique<RateLimiter>(loop, [this] {
    ++metrics_->tx_rate_limiter_event_count;
    for (std::uint32_t lane = 0; lane < active_; ++lane) transmitters_[lane]->limiter_ready();
  });
}

DeviceTraits Net::traits() const {
  DeviceTraits traits{
      .type = VIRTIO_ID_NET,
      .features = features_of(link_->offered()) | feature(VIRTIO_NET_F_MRG_RXBUF),
      .queue_sizes = std::vector<std::uint16_t>(std::size_t{2} * pairs(), kQueueSize),
      .config_size = kConfigSize};
  if (mac_) traits.features |= feature(VIRTIO_NET_F_MAC);
  if (mtu_) traits.features |= feature(VIRTIO_NET_F_MTU);
  if (pairs() > 1) {
    traits.features |= feature(VIRTIO_NET_F_MQ) | feature(VIRTIO_NET_F_CTRL_VQ);
    traits.queue_sizes.push_back(kControlQueueSize);
  }
  return traits;
}

void Net::read_config(std::uint32_t offset, std::span<std::byte> into) const {
  virtio_net_config config{};
  if (mac_) std::memcpy(config.mac, mac_->bytes.data(), mac_->bytes.size());
  config.max_virtqueue_pairs = static_cast<std::uint16_t>(pairs());
  config.mtu = static_cast<std::uint16_t>(mtu_.value_or(0));
  std::memcpy(into.data(), reinterpret_cast<const std::byte*>(&config) + offset, into.size());
}

// Queues
// ------------------------------------------------------------------------------------------------

// Pair by pair, what comes in first; the control queue is behind the last pair that the driver
// knows of (VIRTIO 1.2, 5.1.2).
Net::Role Net::role_of(std::uint16_t index) const {
  const std::uint64_t features = negotiated_.value_or(0);
  const std::uint32_t known = (features & feature(VIRTIO_NET_F_MQ)) != 0 ? pairs() : 1;
  if (index < 2 * known) return index % 2 == 0 ? Role::kReceive : Role::kTransmit;
  const bool control = (features & feature(VIRTIO_NET_F_CTRL_VQ)) != 0;
  return index == 2 * known && control ? Role::kControl : Role::kNone;
}

Result<void> Net::negotiate(std::uint64_t features) {
  if (negotiated_ == features) return {};
  MOTE_CHECK(link_->set_offloads(guest_offloads(features)));
  negotiated_ = features;
  return {};
}

Result<void> Net::start(std::uint16_t index, Queue queue) {
  MOTE_CHECK(negotiate(queue.features()));
  if (std::exchange(tell_config_, false)) config_changed();
  switch (role_of(index)) {
    case Role::kReceive:
      receivers_[index / 2]->start(std::move(queue));
      return {};
    case Role::kTransmit:
      transmitters_[index / 2]->start(std::move(queue));
      if (std::exchange(restored_, false) && mac_) announce(*link_, *mac_);
      return {};
    case Role::kControl:
      control_.start(std::move(queue));
      return {};
    case Role::kNone:
      break;
  }
  return fail(ErrorKind::kGuest, "queue {} was set up, which needs a feature that was not taken",
              index);
}

std::optional<Queue> Net::stop(std::uint16_t index) {
  switch (role_of(index)) {
    case Role::kReceive:
      return receivers_[index / 2]->stop();
    case Role::kTransmit:
      return transmitters_[index / 2]->stop();
    case Role::kControl:
      return control_.stop();
    case Role::kNone:
      break;
  }
  return std::nullopt;
}

void Net::kick(std::uint16_t index) {
  const std::uint32_t lane = index / 2U;
  switch (role_of(index)) {
    case Role::kReceive:
      if (lane < active_) receivers_[lane]->kick();
      return;
    case Role::kTransmit:
      if (lane < active_) transmit(lane);
      return;
    case Role::kControl:
      return control_.kick();
    case Role::kNone:
      return;
  }
}

// What has left is often answered by then, by the host's own TCP before the call that took it is
// back: the driver hears of both at once.
void Net::transmit(unsigned lane) {
  const bool sent = transmitters_[lane]->kick();
  transmitters_[lane]->tell(sent && receivers_[lane]->poll());
}

void Net::reset() {
  negotiated_.reset();
  active_ = 1;
  if (auto done = link_->use_lanes(active_); !done) report(done.error());
  if (auto done = link_->set_offloads({}); !done) report(done.error());
}

bool Net::use_pairs(std::uint16_t pairs_wanted) {
  const std::uint64_t features = negotiated_.value_or(0);
  if ((features & feature(VIRTIO_NET_F_MQ)) == 0) return false;
  if (pairs_wanted < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs_wanted > pairs()) return false;
  if (auto done = link_->use_lanes(pairs_wanted); !done) {
    report(done.error());
    return false;
  }
  const std::uint32_t before = std::exchange(active_, pairs_wanted);
  for (std::uint32_t lane = before; lane < active_; ++lane) {
    receivers_[lane]->kick();
    transmit(lane);
  }
  return true;
}

void Net::link_ready(unsigned lane, network::Link::Readiness readiness) {
  if (lane >= active_) return;
  if (readiness.send) transmitters_[lane]->link_ready();
  if (readiness.receive) receivers_[lane]->link_ready();
}

void Net::report(const Error& error) { failures_.tell(log::Level::kError, name_, error); }

}  // namespace mote::virtio
