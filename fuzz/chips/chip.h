// What the targets of plain chips share.
#pragma once

#include <array>
#include <cstring>

#include "base/json_describe.h"
#include "bus/bus.h"
#include "bus/interrupt.h"
#include "fuzz/input.h"
#include "fuzz/target.h"

namespace mote::fuzz {

class NoInterrupt final : public bus::Interrupt {
 public:
  void trigger() override {}
};

// One access: mostly a byte at one of `ports` registers, else any width anywhere.
inline void access(bus::BusDevice& chip, Input& input, std::uint64_t ports) {
  std::array<std::byte, 8> data{};
  const bool odd = input.once_in(16);
  const std::size_t width = odd ? std::size_t{1} << input.below<std::uint8_t>(4) : 1;
  const std::uint64_t offset = odd ? input.number<std::uint64_t>() : input.below(ports);
  const std::span<std::byte> part = std::span(data).first(width);
  if (input.once_in(3)) return chip.read(offset, part);
  const auto value = input.number<std::uint64_t>() & (odd ? UINT64_MAX : UINT8_MAX);
  std::memcpy(part.data(), &value, width);
  chip.write(offset, part);
}

// What a state is as text, and back: as it will lie in a file.
template <typename State>
State through_text(const State& state) {
  const std::string text = json::write(state);
  const auto again = json::read<State>(text);
  require(again.has_value() && json::write(*again) == text, "a state is the same after a file");
  return *again;
}

}  // namespace mote::fuzz
