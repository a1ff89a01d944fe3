// The console device (VIRTIO 1.2, 5.3): up to 16 ports, each a pair of queues and a PortBackend.
// Input is read only when the guest has a place for it. Output that the backend has no room for
// waits in the guest's ring; on a console port, whose Linux driver waits with a lock held, only for
// a moment, and then it is dropped until there is room again. Belongs to the machine thread.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/failure_log.h"
#include "virtio/console/backend.h"
#include "virtio/console/config.h"
#include "virtio/console/metrics.h"
#include "virtio/console/state.h"
#include "virtio/device.h"

namespace mote::virtio {

class Console final : public Device {
 public:
  using Config = ConsoleConfig;
  using State = ConsoleState;

  // Linux fills a port's queue with pages at once: a larger one costs the guest more memory.
  static constexpr std::uint16_t kQueueSize = 64;

  // Checks `config` and opens what its ports lead to. Errors name the port.
  static Result<std::unique_ptr<Console>> create(const ConsoleConfig& config,
                                                 const DeviceServices& services);
  // As create(), for a driver that knows the ports as `state` says. An error (kInvalid) when there
  // are others.
  static Result<std::unique_ptr<Console>> restore(const ConsoleConfig& config,
                                                  const DeviceServices& services,
                                                  const ConsoleState& state);

  // A port over any backend.
  struct PortParts {
    std::unique_ptr<PortBackend> backend;
    std::string name;
    bool is_console = false;
  };
  static Result<std::unique_ptr<Console>> create(std::vector<PortParts> ports, EventLoop& loop);
  static Result<std::unique_ptr<Console>> restore(std::vector<PortParts> ports, EventLoop& loop,
                                                  const ConsoleState& state);
  ~Console() override;

  ConsoleState save() const;
  const ConsoleMetrics& metrics() const { return metrics_; }

  // A backend's terminal may have another size: the driver is told.
  void window_changed();

  DeviceTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> into) const override;
  // The emergency write (VIRTIO 1.2, 5.3.4): a character for the first port.
  bool write_config(std::uint32_t offset, std::span<const std::byte> from) override;
  Result<void> start(std::uint16_t index, Queue queue) override;
  std::optional<Queue> stop(std::uint16_t index) override;
  void kick(std::uint16_t index) override;
  void reset() override;

 private:
  struct Port {
    PortParts parts;
    PortState state;
    std::optional<WindowSize> window;
    std::optional<Queue> receive;   // to the driver
    std::optional<Queue> transmit;  // from it
    EventLoop::Timer patience;      // of a console that waits for room
    bool waiting = false;           // patience is counting
    bool dropping = false;          // it has run out
  };

  Console() : buffer_(kMostAtOnce) {}

  // Where queue `index` is kept.
  std::optional<Queue>& place(std::uint16_t index);
  bool may_speak(const Port& port) const { return multiport_ && port.state.ready; }

  void backend_changed(Port& port);
  // Moves what can be moved to the driver, and from it.
  void feed(Port& port);
  void drain(Port& port);
  bool receive(Port& port, Chain chain, std::size_t& budget);
  bool transmit(Port& port, Chain chain, std::size_t& budget);
  // Gives `bytes` to the port's backend, or to nobody; how many of them are done with.
  std::size_t put(Port& port, std::span<const std::byte> bytes);
  static void wait_for_room(Port& port);
  static void stop_waiting(Port& port);

  void hear_control(Chain chain);
  void hear(Port& port, std::uint16_t event, bool value);
  void speak_control();
  // The next message that is due, off the list; empty: none is.
  std::string next_message();
  void report(const Error& error);

  static constexpr std::size_t kMostAtOnce = 16384;  // bytes in one write or read

  std::vector<std::unique_ptr<Port>> ports_;
  std::optional<Queue> control_receive_;
  std::optional<Queue> control_transmit_;
  bool multiport_ = false;  // negotiated
  std::vector<std::byte> buffer_;
  ConsoleMetrics metrics_;
  log::FailureLog failures_;
};

}  // namespace mote::virtio
