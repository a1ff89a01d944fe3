#include "metadata/config.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"

namespace mote::metadata {
namespace {

// The link-local range without its first and last 256 addresses, which are reserved (RFC 3927,
// 2.1).
constexpr Ipv4 kFirst = 0xa9fe'0100;
constexpr Ipv4 kLast = 0xa9fe'feff;

}  // namespace

std::optional<Ipv4> parse_ipv4(std::string_view text) {
  Ipv4 address = 0;
  constexpr int kParts = 4;
  for (int i = 0; i < kParts; ++i) {
    const std::string_view part = text.substr(0, i == kParts - 1 ? text.size() : text.find('.'));
    std::uint8_t number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc() || end != part.data() + part.size()) return std::nullopt;
    if (part.size() > 1 && part.front() == '0') return std::nullopt;
    address = address << 8 | number;
    text.remove_prefix(std::min(part.size() + 1, text.size()));
  }
  return address;
}

Result<void> check(const MmdsConfig& config) {
  if (config.network_interfaces.empty()) {
    return fail(ErrorKind::kInvalid,
                "network_interfaces is empty; it must name an interface or more");
  }
  const std::optional<Ipv4> address = parse_ipv4(config.ipv4_address);
  if (!address || *address < kFirst || *address > kLast) {
    return fail(ErrorKind::kInvalid,
                "ipv4_address is {}; it must be an address from 169.254.1.0 to 169.254.254.255",
                json::quote(config.ipv4_address));
  }
  return {};
}

Result<void> check_interfaces(const MmdsConfig& config,
                              std::span<const std::string_view> interfaces) {
  for (std::size_t i = 0; i < config.network_interfaces.size(); ++i) {
    const std::string& id = config.network_interfaces[i];
    if (std::ranges::find(interfaces, id) != interfaces.end()) continue;
    return fail(ErrorKind::kInvalid,
                "network_interfaces[{}] is {}, and there is no such interface; it must be the "
                "iface_id of one",
                i, json::quote(id));
  }
  return {};
}

}  // namespace mote::metadata
