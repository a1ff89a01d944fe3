// What a user says of the metadata service: who may reach it, where, and by which rules.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_rules.h"
#include "base/result.h"

namespace mote::metadata {

// An IPv4 address as a number: 169.254.169.254 is 0xa9fea9fe.
using Ipv4 = std::uint32_t;

// V1 answers whoever asks; V2 whoever shows a token of a session (as IMDSv2).
enum class Version { V1, V2 };
BOOST_DESCRIBE_ENUM(Version, V1, V2)

struct MmdsConfig {
  Version version = Version::V1;
  // Ids of the network interfaces at which the guest finds the service; at least one. One that is
  // named twice counts once.
  std::vector<std::string> network_interfaces{};
  // Link-local (RFC 3927): 169.254.1.0 to 169.254.254.255.
  std::string ipv4_address = "169.254.169.254";
  // Answers are in the text forms of IMDS whatever the client accepts.
  bool imds_compat = false;
  bool operator==(const MmdsConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(MmdsConfig, (), (version, network_interfaces, ipv4_address, imds_compat))
constexpr auto json_rules(const MmdsConfig*) {
  return std::array{json::defaulted("version"), json::nullable("ipv4_address"),
                    json::defaulted("imds_compat")};
}

// The address that `text` is, in four decimal numbers without leading zeros; empty when it is none.
std::optional<Ipv4> parse_ipv4(std::string_view text);

// Whether the values make sense by themselves. The error (kInvalid) names the field, what it is and
// what it must be.
Result<void> check(const MmdsConfig& config);
// Whether each interface that `config` names is among `interfaces`, a machine's.
Result<void> check_interfaces(const MmdsConfig& config,
                              std::span<const std::string_view> interfaces);

}  // namespace mote::metadata
