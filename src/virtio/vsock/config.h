// What a user says of the vsock device.
#pragma once

#include <boost/describe/class.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/json_rules.h"
#include "base/result.h"

namespace mote::virtio {

struct VsockConfig {
  std::uint32_t guest_cid = 0;  // the guest's address
  // A Unix socket for host programs that connect to the guest. The guest's connections to port P of
  // the host go to the socket `<uds_path>_<P>`.
  std::string uds_path{};
  std::optional<std::string> vsock_id{};  // an old name of the device; means nothing
};
BOOST_DESCRIBE_STRUCT(VsockConfig, (), (guest_cid, uds_path, vsock_id))
constexpr auto json_rules(const VsockConfig*) { return std::array{json::sparse("vsock_id")}; }

// The longest path that the address of a Unix socket holds, in bytes.
inline constexpr std::size_t kMaxUdsPath = 107;

// Whether the values make sense, without a look at the host: the error names the field.
Result<void> check(const VsockConfig& config);

}  // namespace mote::virtio
