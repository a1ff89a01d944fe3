#include "virtio/vsock/device.h"

#include <linux/virtio_ids.h>

#include <cstring>
#include <utility>

#include "base/log.h"
#include "virtio/vsock/unix/backend.h"

namespace mote::virtio {

using vsock::Clock;
using vsock::Outcome;
using vsock::Ports;

namespace {

Result<std::unique_ptr<Vsock>> make(const VsockConfig& config, const DeviceServices& services,
                                    const VsockState* state) {
  MOTE_CHECK(check(config));
  constexpr std::uint32_t kFirstOfGuests = 3;
  if (config.guest_cid < kFirstOfGuests || config.guest_cid == VMADDR_CID_ANY) {
    log::warning("vsock: guest_cid {} is reserved; few guests can use it (3 and more are theirs)",
                 config.guest_cid);
  }
  vsock::UnixBackend::make_room(Vsock::Limits{}.connections);
  auto backend = vsock::UnixBackend::create(config.uds_path, services.loop);
  if (!backend) return std::unexpected(std::move(backend.error()).within("vsock"));
  return Vsock::over(config.guest_cid, std::move(*backend), services.loop, {}, state);
}

}  // namespace

Vsock::Vsock(std::uint32_t guest_cid, std::unique_ptr<vsock::HostBackend> backend,
             const Limits& limits)
    : limits_(limits), backend_(std::move(backend)), answers_(limits.answer_window) {
  common_.guest_cid = guest_cid;
  common_.times = limits.times;
}

Vsock::~Vsock() = default;

Result<std::unique_ptr<Vsock>> Vsock::create(const VsockConfig& config,
                                             const DeviceServices& services) {
  return make(config, services, nullptr);
}

Result<std::unique_ptr<Vsock>> Vsock::restore(const VsockConfig& config,
                                              const DeviceServices& services,
                                              const VsockState& state) {
  return make(config, services, &state);
}

Result<std::unique_ptr<Vsock>> Vsock::over(std::uint32_t guest_cid,
                                           std::unique_ptr<vsock::HostBackend> backend,
                                           EventLoop& loop, const Limits& limits,
                                           const VsockState* state) {
  std::unique_ptr<Vsock> device(new Vsock(guest_cid, std::move(backend), limits));
  MOTE_TRY(device->timer_, loop.timer([raw = device.get()] { raw->expire(); }));
  MOTE_TRY(device->flush_timer_, loop.timer([raw = device.get()] {
    raw->flush_armed_ = false;
    raw->flush();
  }));
  if (state != nullptr) {
    device->next_host_port_ = state->next_host_port;
    device->notice_.owe();
  }
  return device;
}

VsockMetrics Vsock::metrics() const {
  VsockMetrics metrics = common_.metrics;
  metrics.muxer_event_fails = backend_->failed();
  return metrics;
}

DeviceTraits Vsock::traits() const {
  // No feature: streams are what there is without one (VIRTIO 1.2, 5.10.3).
  return {.type = VIRTIO_ID_VSOCK,
          .features = 0,
          .queue_sizes = {kQueueSize, kQueueSize, kQueueSize},
          .config_size = sizeof(virtio_vsock_config)};
}

void Vsock::read_config(std::uint32_t offset, std::span<std::byte> into) const {
  const virtio_vsock_config config{.guest_cid = common_.guest_cid};
  std::memcpy(into.data(), reinterpret_cast<const std::byte*>(&config) + offset, into.size());
}

Result<void> Vsock::start(std::uint16_t index, Queue queue) {
  (index == kRx ? rx_ : index == kTx ? tx_ : events_) = std::move(queue);
  if (index == kEvents || !rx_ || !tx_) return {};
  return await_notice_or_let_in();
}

std::optional<Queue> Vsock::stop(std::uint16_t index) {
  if (index != kEvents) {
    backend_->ignore();
    waits_until_.reset();
    flush();
  }
  return std::exchange(index == kRx ? rx_ : index == kTx ? tx_ : events_, std::nullopt);
}

void Vsock::reset() {
  // What drains is of connections that the guest had closed.
  const std::size_t gone = connections_.size();
  connections_.clear();
  common_.metrics.conns_removed += gone;
  resets_.clear();
  asked_.reset();
  notice_.drop();
}

void Vsock::kick(std::uint16_t index) {
  if (index == kEvents) return serve_events();
  if (index == kRx) {
    ++common_.metrics.rx_queue_event_count;
  } else if (tx_) {
    ++common_.metrics.tx_queue_event_count;
    serve_tx();
  }
  fill_rx();
}

// The guest's packets
// ------------------------------------------------------------------------------------------------

// As virtio::serve(), which would flush.
void Vsock::serve_tx() {
  tx_->disable_notifications();
  std::uint32_t budget = tx_->size();
  do {
    while (true) {
      if (budget == 0) {
        flush();
        return tx_->again();
      }
      auto chain = tx_->next();
      if (!chain) {
        ++common_.metrics.tx_queue_event_fails;
        return flush();
      }
      if (!*chain) break;
      --budget;
      ++taken_;
      take(std::move(**chain));
    }
  } while (tx_->enable_notifications());
  const bool few = taken_ < tx_->size() / 4U;
  if (few) await_answer();
  if (!few || !rx_ || limits_.tx_delay == limits_.tx_delay.zero()) return flush();
  if (taken_ > 0 && !flush_armed_) flush_armed_ = flush_timer_.set(limits_.tx_delay).has_value();
}

void Vsock::flush() {
  taken_ = 0;
  if (tx_) tx_->publish();
  if (rx_) rx_->publish();
  const bool heard = rx_ && rx_->tell();
  if (tx_) tx_->tell(heard);
}

void Vsock::take(Chain chain) {
  const auto read = chain.in().read<Header>();
  if (!read || read->src_cid != common_.guest_cid) {
    // No packet, or one in another's name: there is nobody to answer.
    ++common_.metrics.tx_queue_event_fails;
    return std::move(chain).complete();
  }
  const Header header = *read;
  ++common_.metrics.tx_packets_count;
  const Ports ports{.host = header.dst_port, .guest = header.src_port};
  const bool ours = header.dst_cid == vsock::kHostCid && header.type == VIRTIO_VSOCK_TYPE_STREAM;
  if (ours && header.len <= vsock::kMaxPayload && header.len <= chain.in().left()) {
    dispatch(header, chain.in());
  } else if (const auto found = connections_.find(ports); ours && found != connections_.end()) {
    settle(*found->second, Outcome::kKilled);
  } else if (header.op != VIRTIO_VSOCK_OP_RST) {
    owe_reset({.host_cid = header.dst_cid, .ports = ports, .type = header.type});
  }
  std::move(chain).complete();
}

void Vsock::dispatch(const Header& header, ChainReader& payload) {
  const Ports ports{.host = header.dst_port, .guest = header.src_port};
  if (const auto found = connections_.find(ports); found != connections_.end()) {
    Connection& connection = *found->second;
    if (header.op == VIRTIO_VSOCK_OP_RW) asks(ports);
    return settle(connection, connection.receive(header, payload));
  }
  if (header.op == VIRTIO_VSOCK_OP_REQUEST) return connect_to_host(header);
  if (header.op == VIRTIO_VSOCK_OP_RST) return;
  owe_reset({.host_cid = vsock::kHostCid, .ports = ports, .type = VIRTIO_VSOCK_TYPE_STREAM});
}

void Vsock::connect_to_host(const Header& request) {
  const Ports ports{.host = request.dst_port, .guest = request.src_port};
  if (connections() < limits_.connections) {
    auto stream = backend_->connect(ports.host);
    if (stream) {
      return begin(std::make_unique<Connection>(ports, std::move(*stream), common_, request));
    }
    log::debug("vsock: {}", stream.error().text());
  }
  ++common_.metrics.conns_refused;
  owe_reset({.host_cid = vsock::kHostCid, .ports = ports, .type = VIRTIO_VSOCK_TYPE_STREAM});
}

// Packets for the guest
// ------------------------------------------------------------------------------------------------

void Vsock::owe_reset(const Reset& reset) {
  if (resets_.size() < limits_.resets) {
    resets_.push_back(reset);
  } else {
    ++common_.metrics.resets_dropped;
  }
}

void Vsock::fill_rx() {
  if (!rx_) return;
  // After as many packets as the queue is long, others have their turn.
  std::uint32_t budget = rx_->size();
  bool given = false;
  while (!resets_.empty() || !turns_.empty()) {
    if (budget-- == 0) {
      rx_->again();
      break;
    }
    auto chain = rx_->next();
    if (!chain) {
      ++common_.metrics.rx_queue_event_fails;
      break;
    }
    if (!*chain) {
      if (std::exchange(given, false)) flush();
      if (rx_->enable_notifications()) continue;
      return;
    }
    give(std::move(**chain));
    given = true;
  }
  // With nothing to say, it does not matter that the driver adds chains.
  rx_->disable_notifications();
  if (given) flush();
}

void Vsock::give(Chain chain) {
  if (!chain.out().keep_head(sizeof(Header)) || chain.out().left() == 0) {
    ++common_.metrics.rx_queue_event_fails;
    return std::move(chain).complete();
  }
  Header header{};
  Connection* connection = nullptr;
  vsock::Connection::Filled filled{.packet = true};
  if (!resets_.empty()) {
    const Reset reset = resets_.front();
    resets_.pop_front();
    header = {.src_cid = reset.host_cid,
              .dst_cid = common_.guest_cid,
              .src_port = reset.ports.host,
              .dst_port = reset.ports.guest,
              .len = 0,
              .type = reset.type,
              .op = VIRTIO_VSOCK_OP_RST,
              .flags = 0,
              .buf_alloc = 0,
              .fwd_cnt = 0};
  } else {
    connection = &turns_.front();
    turns_.pop_front();
    filled = connection->fill(header, chain.out());
  }
  if (filled.packet) {
    chain.out().write_head(std::as_bytes(std::span(&header, 1)));
    ++common_.metrics.rx_packets_count;
    std::move(chain).complete();
  } else {
    rx_->put_back(std::move(chain));
  }
  if (connection != nullptr) settle(*connection, filled.outcome);
}

// Connections
// ------------------------------------------------------------------------------------------------

void Vsock::begin(std::unique_ptr<Connection> owned) {
  Connection& connection = *owned;
  connections_.emplace(connection.ports(), std::move(owned));
  ++common_.metrics.conns_added;
  const Outcome outcome = connection.begin([this, &connection](vsock::Ready ready) {
    if (ready.readable) heard(connection.ports());
    // Ends this listener, where the connection ends.
    settle(connection, connection.ready(ready));
    fill_rx();
  });
  settle(connection, outcome);
}

void Vsock::settle(Connection& connection, Outcome outcome) {
  switch (outcome) {
    case Outcome::kStays:
      if (!connection.is_linked() && connection.has_packet()) turns_.push_back(connection);
      return arm(connection.deadline());
    case Outcome::kEnds:
      break;
    case Outcome::kKilled:
      ++common_.metrics.conns_killed;
      [[fallthrough]];
    case Outcome::kClosed:
    case Outcome::kDrains:
      owe_reset({.host_cid = vsock::kHostCid,
                 .ports = connection.ports(),
                 .type = VIRTIO_VSOCK_TYPE_STREAM});
  }
  if (outcome != Outcome::kDrains) return remove(connection);
  const auto found = connections_.find(connection.ports());
  connection.unlink();
  draining_.emplace(&connection, std::move(found->second));
  connections_.erase(found);
  arm(connection.deadline());
}

void Vsock::remove(Connection& connection) {
  ++common_.metrics.conns_removed;
  if (connection.draining()) {
    draining_.erase(&connection);
  } else {
    const Ports ports = connection.ports();
    connections_.erase(ports);
  }
}

void Vsock::arm(std::optional<Clock::time_point> deadline) {
  if (!deadline || (armed_for_ && *armed_for_ <= *deadline)) return;
  if (timer_.set(*deadline - Clock::now())) armed_for_ = deadline;
}

void Vsock::expire() {
  armed_for_.reset();
  const auto now = Clock::now();
  if (waits_until_ && *waits_until_ <= now) notice_is_late();
  arm(waits_until_);
  std::vector<Connection*> due;
  const auto look = [&](Connection& connection) {
    if (!connection.deadline()) return;
    if (*connection.deadline() <= now) {
      due.push_back(&connection);
    } else {
      arm(connection.deadline());
    }
  };
  for (const auto& [ports, connection] : connections_) look(*connection);
  for (const auto& [key, connection] : draining_) look(*connection);
  for (Connection* connection : due) settle(*connection, connection->expire());
  fill_rx();
}

}  // namespace mote::virtio
