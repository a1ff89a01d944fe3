// The console with three ports whose host's ends come, go, fill up and fail.
#pragma once

#include <linux/virtio_console.h>

#include <array>
#include <memory>
#include <stdexcept>

#include "fuzz/virtio/rig.h"
#include "virtio/console/device.h"
#include "virtio/fake_port.h"

namespace mote::fuzz {

template <>
class Rig<virtio::Console> final : public DeviceRig {
 public:
  Rig(Input& /*input*/, const virtio::DeviceServices& services) : services_(services) {
    take(virtio::Console::create(make_ports(), services_.loop));
  }

  virtio::Device& device() override { return *device_; }
  Request request(Input& input, std::uint16_t queue) override {
    constexpr std::uint16_t kControl = 3;
    if (queue == kControl) {
      return {.in = {bytes_of(virtio_console_control{.id = input.below<std::uint8_t>(4),
                                                     .event = input.below<std::uint8_t>(9),
                                                     .value = input.below<std::uint8_t>(3)})},
              .out = {}};
    }
    if (queue % 2 == 0) return {.in = {}, .out = {input.below<std::uint16_t>(300)}};
    Request made{.in = {input.text(100)}, .out = {}};
    if (input.once_in(8)) made.in.push_back(std::string(input.number<std::uint16_t>(), 'o'));
    return made;
  }
  void happen(Input& input) override {
    virtio::test::FakePort& port = *ports_[input.below(ports_.size())];
    port.present = !input.once_in(4);
    port.broken = input.once_in(8);
    port.room = input.once_in(2) ? input.below<std::uint8_t>(200) : SIZE_MAX;
    port.input = input.text(300);
    port.output.clear();
    port.size = {.columns = input.number<std::uint8_t>(), .rows = 25};
    if (input.once_in(4)) device_->window_changed();
    port.tell();
  }
  void restore() override {
    const virtio::ConsoleState state = device_->save();
    device_.reset();
    take(virtio::Console::restore(make_ports(), services_.loop, state));
  }
  void heal() override {
    for (virtio::test::FakePort* port : ports_) {
      port->present = true;
      port->broken = false;
      port->room = SIZE_MAX;
      port->tell();
    }
  }
  std::optional<Probe> probe() override {
    return Probe{.queue = 1, .request = {.in = {"text"}, .out = {}}};
  }

 private:
  std::vector<virtio::Console::PortParts> make_ports() {
    std::vector<virtio::Console::PortParts> made;
    for (virtio::test::FakePort*& port : ports_) {
      auto backend = std::make_unique<virtio::test::FakePort>();
      port = backend.get();
      made.push_back({.backend = std::move(backend),
                      .name = made.empty() ? "" : "port",
                      .is_console = made.size() < 2});
    }
    return made;
  }
  void take(Result<std::unique_ptr<virtio::Console>> made) {
    if (!made) throw std::runtime_error(made.error().text());
    device_ = std::move(*made);
  }

  const virtio::DeviceServices services_;
  std::array<virtio::test::FakePort*, 3> ports_{};
  std::unique_ptr<virtio::Console> device_;
};

}  // namespace mote::fuzz
