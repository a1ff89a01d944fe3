// A MAC address, and how one is written.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mote::network {

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};
  bool operator==(const MacAddress&) const = default;
};

// The address that `text` is: six pairs of hexadecimal digits in any case, with colons between;
// empty when it is none.
std::optional<MacAddress> parse_mac(std::string_view text);
// As parse_mac() takes it, in lower case.
std::string to_string(const MacAddress& address);

}  // namespace mote::network
