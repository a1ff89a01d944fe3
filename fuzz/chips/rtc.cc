// The clock: registers under any host time, saves and hostile states.
#include "devices/rtc.h"

#include "fuzz/chips/chip.h"

namespace mote::fuzz {
namespace {

// Of the host's clock: years from 1970 to 2260.
constexpr std::int64_t kLastNanosecond = INT64_MAX;

devices::RtcState any_state(Input& input) {
  return {.index = input.number<std::uint8_t>(),
          .offset_seconds = input.number<std::int64_t>() >> (input.number<std::uint8_t>() % 64),
          .memory = input.value<std::array<std::uint8_t, 128>>()};
}

}  // namespace

void run(std::span<const std::uint8_t> bytes) {
  Input input(bytes);
  std::int64_t now = 0;
  const devices::Rtc::Clock clock = [&now] { return now; };
  auto chip = std::make_unique<devices::Rtc>(input.number<std::uint64_t>(),
                                             input.number<std::uint64_t>(), clock);
  while (!input.done()) {
    switch (input.below<std::uint8_t>(16)) {
      case 0:
        now = input.number<std::int64_t>() & kLastNanosecond;
        break;
      case 1: {
        auto again = devices::Rtc::restore(chip->save(), clock);
        require(again.has_value(), "what was saved can be restored");
        chip = std::move(*again);
        break;
      }
      case 2:
        if (auto other = devices::Rtc::restore(any_state(input), clock)) chip = std::move(*other);
        break;
      default:
        access(*chip, input, devices::kRtcPorts + 1);
    }
  }
}

std::vector<std::string> seeds() { return {std::string(64, '\x05'), std::string(64, '\xa7')}; }

}  // namespace mote::fuzz
