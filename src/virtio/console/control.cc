#include <linux/virtio_console.h>

#include <algorithm>
#include <array>
#include <bit>

#include "virtio/console/device.h"
#include "virtio/console/due.h"
#include "virtio/queue/serve.h"

namespace mote::virtio {

// Control (VIRTIO 1.2, 5.3.6.2)

void Console::hear_control(Chain chain) {
  const auto message = chain.in().read<virtio_console_control>();
  std::move(chain).complete();
  if (message && multiport_ && message->event == VIRTIO_CONSOLE_DEVICE_READY) {
    if (message->value != 1) return report(Error(ErrorKind::kGuest, "its driver gave up"));
    for (const auto& port : ports_) port->state.due |= kDueAdd;
    return;
  }
  if (!message || !multiport_ || message->id >= ports_.size()) {
    ++metrics_.control_fails;
    return;
  }
  hear(*ports_[message->id], message->event, message->value == 1);
}

void Console::hear(Port& port, std::uint16_t event, bool value) {
  PortState& state = port.state;
  switch (event) {
    case VIRTIO_CONSOLE_PORT_READY:
      state.ready = value;
      state.told_open = false;
      state.due = 0;
      if (!value) return;
      if (port.parts.is_console) state.due |= kDueConsolePort;
      if (!port.parts.name.empty()) state.due |= kDueName;
      if (port.parts.is_console && port.window) state.due |= kDueResize;
      if (port.parts.backend->connected()) state.due |= kDueOpen;
      return;
    case VIRTIO_CONSOLE_PORT_OPEN:
      state.guest_open = value;
      return feed(port);
    default:
      ++metrics_.control_fails;
  }
}

void Console::speak_control() {
  if (!control_receive_ || !multiport_) return;
  const auto any_due = [this] {
    return std::ranges::any_of(ports_, [](const auto& port) { return port->state.due != 0; });
  };
  if (!any_due()) return;
  serve(*control_receive_, [&](Chain chain) {
    if (!any_due()) {
      control_receive_->put_back(std::move(chain));
      return false;
    }
    const std::string message = next_message();
    if (!chain.out().write(std::as_bytes(std::span(message)))) ++metrics_.control_fails;
    std::move(chain).complete();
    return true;
  });
}

std::string Console::next_message() {
  for (std::uint32_t id = 0; id < ports_.size(); ++id) {
    Port& port = *ports_[id];
    if (port.state.due == 0) continue;
    const auto which = static_cast<std::uint8_t>(1U << std::countr_zero(port.state.due));
    port.state.due &= static_cast<std::uint8_t>(~which);
    virtio_console_control control{.id = id, .event = VIRTIO_CONSOLE_PORT_ADD, .value = 1};
    std::string content;
    switch (which) {
      case kDueConsolePort:
        control.event = VIRTIO_CONSOLE_CONSOLE_PORT;
        break;
      case kDueName:
        control.event = VIRTIO_CONSOLE_PORT_NAME;
        content = port.parts.name;
        break;
      case kDueResize: {
        // Linux reads rows before columns; the specification has them the other way round.
        const WindowSize size = port.window.value_or(WindowSize());
        const std::array<std::uint16_t, 2> as_linux{size.rows, size.columns};
        control.event = VIRTIO_CONSOLE_RESIZE;
        content.assign(reinterpret_cast<const char*>(as_linux.data()), sizeof as_linux);
        break;
      }
      case kDueOpen:
        control.event = VIRTIO_CONSOLE_PORT_OPEN;
        port.state.told_open = port.parts.backend->connected();
        control.value = port.state.told_open ? 1 : 0;
        break;
      default:
        break;
    }
    return std::string(reinterpret_cast<const char*>(&control), sizeof control) + content;
  }
  return {};
}

void Console::window_changed() {
  for (const auto& port : ports_) {
    const auto window = port->parts.backend->window();
    if (!window || window == port->window) continue;
    port->window = window;
    if (may_speak(*port) && port->parts.is_console) port->state.due |= kDueResize;
  }
  config_changed();
  speak_control();
}

}  // namespace mote::virtio
