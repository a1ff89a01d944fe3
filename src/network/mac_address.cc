#include "network/mac_address.h"

#include <fmt/format.h>

#include <charconv>

namespace mote::network {

std::optional<MacAddress> parse_mac(std::string_view text) {
  MacAddress address;
  constexpr std::size_t kStep = 3;  // two digits and what is behind them
  if (text.size() != address.bytes.size() * kStep - 1) return std::nullopt;
  for (std::size_t i = 0; i < address.bytes.size(); ++i) {
    const std::string_view pair = text.substr(i * kStep, 2);
    if (i > 0 && text[i * kStep - 1] != ':') return std::nullopt;
    const auto [end, error] =
        std::from_chars(pair.data(), pair.data() + pair.size(), address.bytes[i], 16);
    if (error != std::errc() || end != pair.data() + pair.size()) return std::nullopt;
  }
  return address;
}

std::string to_string(const MacAddress& address) {
  return fmt::format("{:02x}", fmt::join(address.bytes, ":"));
}

}  // namespace mote::network
