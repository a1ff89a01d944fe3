#include "virtio/console/device.h"

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include <algorithm>
#include <cstring>

#include "virtio/console/backends.h"
#include "virtio/console/due.h"
#include "virtio/queue/serve.h"

namespace mote::virtio {
namespace {

constexpr std::uint16_t kControlReceive = 2;
constexpr std::uint16_t kControlTransmit = 3;
// Of data a port in one turn, so that others have theirs.
constexpr std::size_t kBytesPerTurn = 256 << 10;
// How long a console's output may wait for room.
constexpr std::chrono::milliseconds kPatience(200);
constexpr std::uint32_t kEmergencyOffset = offsetof(virtio_console_config, emerg_wr);

constexpr std::uint64_t feature(unsigned bit) { return std::uint64_t{1} << bit; }

Result<std::vector<Console::PortParts>> open_ports(const ConsoleConfig& config, EventLoop& loop) {
  MOTE_CHECK(check(config));
  std::vector<Console::PortParts> ports;
  for (std::size_t i = 0; i < config.ports.size(); ++i) {
    const PortConfig& port = config.ports[i];
    auto backend = make_backend(port, loop);
    if (!backend) {
      return std::unexpected(
          std::move(backend.error()).within(fmt::format("port {} of the console", i)));
    }
    ports.push_back({.backend = std::move(*backend),
                     .name = port.name.value_or(""),
                     .is_console = port.is_console.value_or(i == 0)});
  }
  return ports;
}

}  // namespace

Result<std::unique_ptr<Console>> Console::create(const ConsoleConfig& config,
                                                 const DeviceServices& services) {
  MOTE_TRY(auto ports, open_ports(config, services.loop));
  return create(std::move(ports), services.loop);
}

Result<std::unique_ptr<Console>> Console::restore(const ConsoleConfig& config,
                                                  const DeviceServices& services,
                                                  const ConsoleState& state) {
  MOTE_TRY(auto ports, open_ports(config, services.loop));
  return restore(std::move(ports), services.loop, state);
}

Result<std::unique_ptr<Console>> Console::create(std::vector<PortParts> ports, EventLoop& loop) {
  std::unique_ptr<Console> console(new Console());
  for (PortParts& parts : ports) {
    auto port = std::make_unique<Port>();
    port->parts = std::move(parts);
    port->window = port->parts.backend->window();
    Port& own = *port;
    MOTE_TRY(own.patience, loop.timer([&own, &console = *console] {
      own.waiting = false;
      own.dropping = true;
      console.drain(own);
    }));
    own.parts.backend->set_listener([&own, &console = *console] { console.backend_changed(own); });
    console->ports_.push_back(std::move(port));
  }
  return console;
}

Result<std::unique_ptr<Console>> Console::restore(std::vector<PortParts> ports, EventLoop& loop,
                                                  const ConsoleState& state) {
  MOTE_TRY(auto console, create(std::move(ports), loop));
  if (state.ports.size() != console->ports_.size()) {
    return fail(ErrorKind::kInvalid, "the console was saved with {} ports and now has {}",
                state.ports.size(), console->ports_.size());
  }
  for (std::size_t i = 0; i < state.ports.size(); ++i) {
    Port& port = *console->ports_[i];
    port.state = state.ports[i];
    if ((port.state.due & ~kDueAll) != 0) {
      return fail(ErrorKind::kInvalid, "port {} of the console: there are no messages {:#x}", i,
                  port.state.due);
    }
    if (!port.state.ready) continue;
    // The host's end is another than the driver knows.
    if (port.parts.is_console && port.window) port.state.due |= kDueResize;
    if (port.parts.backend->connected() != port.state.told_open) port.state.due |= kDueOpen;
  }
  return console;
}

Console::~Console() = default;

ConsoleState Console::save() const {
  ConsoleState state;
  for (const auto& port : ports_) state.ports.push_back(port->state);
  return state;
}

DeviceTraits Console::traits() const {
  return {.type = VIRTIO_ID_CONSOLE,
          .features = feature(VIRTIO_CONSOLE_F_SIZE) | feature(VIRTIO_CONSOLE_F_MULTIPORT) |
                      feature(VIRTIO_CONSOLE_F_EMERG_WRITE),
          .queue_sizes = std::vector<std::uint16_t>(2 * (ports_.size() + 1), kQueueSize),
          .config_size = sizeof(virtio_console_config)};
}

void Console::read_config(std::uint32_t offset, std::span<std::byte> into) const {
  virtio_console_config config{};
  if (const auto& window = ports_.front()->window) {
    config.cols = window->columns;
    config.rows = window->rows;
  }
  config.max_nr_ports = static_cast<std::uint32_t>(ports_.size());
  std::memcpy(into.data(), reinterpret_cast<const std::byte*>(&config) + offset, into.size());
}

bool Console::write_config(std::uint32_t offset, std::span<const std::byte> from) {
  if (offset != kEmergencyOffset) return false;
  ++metrics_.emergency_writes;
  if (put(*ports_.front(), from.first(1)) == 0) ++metrics_.tx_dropped_bytes;
  return true;
}

// Queues: those of the first port, of control, of the other ports (VIRTIO 1.2, 5.3.2)
// ------------------------------------------------------------------------------------------------

std::optional<Queue>& Console::place(std::uint16_t index) {
  if (index == kControlReceive) return control_receive_;
  if (index == kControlTransmit) return control_transmit_;
  const std::size_t number = index < kControlReceive ? 0 : index / 2 - 1;
  Port& port = *ports_[number];
  return index % 2 == 0 ? port.receive : port.transmit;
}

Result<void> Console::start(std::uint16_t index, Queue queue) {
  multiport_ = (queue.features() & feature(VIRTIO_CONSOLE_F_MULTIPORT)) != 0;
  place(index) = std::move(queue);
  return {};
}

std::optional<Queue> Console::stop(std::uint16_t index) {
  return std::exchange(place(index), std::nullopt);
}

void Console::kick(std::uint16_t index) {
  if (index == kControlReceive) return speak_control();
  if (index == kControlTransmit) {
    if (control_transmit_)
      serve(*control_transmit_, [this](Chain chain) { hear_control(std::move(chain)); });
    return speak_control();
  }
  Port& port = *ports_[index < kControlReceive ? 0 : index / 2 - 1];
  index % 2 == 0 ? feed(port) : drain(port);
}

void Console::reset() {
  for (const auto& port : ports_) {
    port->state = {};
    stop_waiting(*port);
  }
  multiport_ = false;
}

// Data
// ------------------------------------------------------------------------------------------------

void Console::backend_changed(Port& port) {
  stop_waiting(port);
  if (may_speak(port) && port.parts.backend->connected() != port.state.told_open) {
    port.state.due |= kDueOpen;
    speak_control();
  }
  drain(port);
  feed(port);
}

void Console::feed(Port& port) {
  // A port that no program has open throws its input away (Linux).
  if (!port.receive || (multiport_ && !port.state.guest_open)) return;
  std::size_t budget = kBytesPerTurn;
  serve(*port.receive, [&](Chain chain) { return receive(port, std::move(chain), budget); });
}

bool Console::receive(Port& port, Chain chain, std::size_t& budget) {
  const std::size_t room = std::min<std::uint64_t>(chain.out().left(), buffer_.size());
  if (room == 0) {
    std::move(chain).complete();
    return true;
  }
  std::size_t count = 0;
  if (budget > 0) {
    const auto read = port.parts.backend->read(std::span(buffer_).first(room));
    if (!read) {
      ++metrics_.rx_fails;
      report(read.error());
    }
    count = read.value_or(0);
  } else {
    port.receive->again();
  }
  if (count == 0) {
    port.receive->put_back(std::move(chain));
    return false;
  }
  static_cast<void>(chain.out().write(std::as_bytes(std::span(buffer_).first(count))));
  metrics_.rx_bytes_count += count;
  budget -= std::min(budget, count);
  std::move(chain).complete();
  return true;
}

void Console::drain(Port& port) {
  if (!port.transmit) return;
  std::size_t budget = kBytesPerTurn;
  serve(*port.transmit, [&](Chain chain) { return transmit(port, std::move(chain), budget); });
}

bool Console::transmit(Port& port, Chain chain, std::size_t& budget) {
  ChainReader& in = chain.in();
  // What has left before.
  std::vector<iovec> skipped;
  in.lend(port.state.sent, skipped);
  while (in.left() > 0) {
    const std::size_t length = std::min<std::uint64_t>(in.left(), buffer_.size());
    const std::span<std::byte> bytes = std::span(buffer_).first(length);
    std::size_t taken = 0;
    if (budget > 0) {
      static_cast<void>(in.read(bytes));
      taken = put(port, bytes);
      if (taken < length && port.dropping) {
        metrics_.tx_dropped_bytes += length - taken;
        taken = length;
      }
    }
    port.state.sent += taken;
    budget -= std::min(budget, taken);
    if (taken == length) continue;
    budget == 0 ? port.transmit->again() : wait_for_room(port);
    port.transmit->put_back(std::move(chain));
    return false;
  }
  port.state.sent = 0;
  std::move(chain).complete();
  return true;
}

void Console::wait_for_room(Port& port) {
  if (!port.parts.is_console || port.waiting) return;
  port.waiting = port.patience.set(kPatience).has_value();
}

void Console::stop_waiting(Port& port) {
  port.waiting = port.dropping = false;
  static_cast<void>(port.patience.disarm());
}

std::size_t Console::put(Port& port, std::span<const std::byte> bytes) {
  if (!port.parts.backend->connected()) {
    metrics_.tx_dropped_bytes += bytes.size();
    return bytes.size();
  }
  const auto taken = port.parts.backend->write(bytes);
  if (!taken) {
    ++metrics_.tx_fails;
    metrics_.tx_dropped_bytes += bytes.size();
    report(taken.error());
    return bytes.size();
  }
  metrics_.tx_bytes_count += *taken;
  return *taken;
}

void Console::report(const Error& error) { failures_.tell(log::Level::kWarning, "console", error); }

}  // namespace mote::virtio
