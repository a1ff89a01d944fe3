// The keyboard controller: registers, keys, saves and hostile states.
#include "devices/i8042.h"

#include "fuzz/chips/chip.h"

namespace mote::fuzz {
namespace {

devices::I8042State any_state(Input& input) {
  return {.configuration = input.number<std::uint8_t>(),
          .command = input.number<std::uint8_t>(),
          .keyboard_command = input.number<std::uint8_t>(),
          .last_data = input.number<std::uint8_t>(),
          .last_write_was_command = input.once_in(2),
          .output = std::vector<std::uint8_t>(input.below<std::uint8_t>(40))};
}

}  // namespace

void run(std::span<const std::uint8_t> bytes) {
  Input input(bytes);
  NoInterrupt interrupt;
  const devices::EndSink end = [](const devices::End&) {};
  auto chip = std::make_unique<devices::I8042>(interrupt, end);
  while (!input.done()) {
    switch (input.below<std::uint8_t>(16)) {
      case 0:
        static_cast<void>(chip->trigger_ctrl_alt_del());
        break;
      case 1: {
        auto again = devices::I8042::restore(through_text(chip->save()), interrupt, end);
        require(again.has_value(), "what was saved can be restored");
        chip = std::move(*again);
        break;
      }
      case 2:
        if (auto other = devices::I8042::restore(any_state(input), interrupt, end))
          chip = std::move(*other);
        break;
      default:
        access(*chip, input, devices::kI8042Ports + 1);
    }
  }
}

std::vector<std::string> seeds() { return {std::string(64, '\x05'), std::string(64, '\xa7')}; }

}  // namespace mote::fuzz
