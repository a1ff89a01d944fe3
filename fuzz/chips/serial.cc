// The UART: registers, input, a sink that is full or broken, saves and hostile states.
#include "devices/serial.h"

#include <linux/serial_reg.h>

#include "fuzz/chips/chip.h"

namespace mote::fuzz {
namespace {

class Sink final : public ByteSink {
 public:
  Result<std::size_t> write(std::span<const std::byte> bytes) override {
    if (broken) return fail(ErrorKind::kIo, "nobody reads");
    return std::min(room, bytes.size());
  }
  std::size_t room = SIZE_MAX;
  bool broken = false;
};

devices::SerialState any_state(Input& input) {
  devices::SerialState state;
  state.interrupt_enable = input.number<std::uint8_t>();
  state.fifo_control = input.number<std::uint8_t>();
  state.line_control = input.number<std::uint8_t>();
  state.modem_control = input.number<std::uint8_t>();
  state.line_errors = input.number<std::uint8_t>();
  state.modem_deltas = input.number<std::uint8_t>();
  state.divisor = input.number<std::uint16_t>();
  state.thre_pending = input.once_in(2);
  state.input_ended = input.once_in(2);
  state.window_left = input.number<std::uint16_t>();
  state.received.resize(input.below<std::uint8_t>(80));
  state.unsent.resize(input.below<std::uint8_t>(20));
  return state;
}

}  // namespace

void run(std::span<const std::uint8_t> bytes) {
  Input input(bytes);
  NoInterrupt interrupt;
  Sink sink;
  bool blocked = false;
  const auto wiring = [&, wait = input.once_in(2), windowed = input.once_in(2)] {
    return devices::SerialWiring{
        .interrupt = interrupt,
        .sink = sink,
        .when_full = wait ? devices::WhenFull::kWait : devices::WhenFull::kDrop,
        .windowed = windowed,
        .on_blocked = [&blocked] { blocked = true; }};
  };
  auto port = std::make_unique<devices::Serial>(wiring());
  while (!input.done()) {
    switch (input.below<std::uint8_t>(16)) {
      case 0: {
        const std::string text = input.text(100);
        const std::size_t taken = port->feed(std::as_bytes(std::span(text)));
        require(taken <= text.size(), "no more is taken than is given");
        break;
      }
      case 1:
        port->end_input();
        break;
      case 2:
        sink.room = input.below<std::uint8_t>(20);
        sink.broken = input.once_in(8);
        if (std::exchange(blocked, false)) port->resume_output();
        break;
      case 3: {
        const auto state = through_text(port->save());
        auto again = devices::Serial::restore(state, wiring());
        require(again.has_value(), "what was saved can be restored");
        port = std::move(*again);
        port->resume_output();
        break;
      }
      case 4:
        if (auto other = devices::Serial::restore(any_state(input), wiring()))
          port = std::move(*other);
        break;
      default:
        access(*port, input, devices::kSerialPorts + 1);
    }
  }
}

std::vector<std::string> seeds() { return {std::string(64, '\x05'), std::string(64, '\xa7')}; }

}  // namespace mote::fuzz
