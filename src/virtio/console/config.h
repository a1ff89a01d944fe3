// What a user says of a virtio console: its ports, and where each of them leads. Firecracker has no
// such device; the section is ours.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/json_rules.h"
#include "base/result.h"

namespace mote::virtio {

// Where a port leads: the monitor's standard streams; a file, to which output is appended; a Unix
// socket on which the monitor listens, for one client at a time; nowhere.
enum class PortMode { Stdio, File, Socket, Null };
BOOST_DESCRIBE_ENUM(PortMode, Stdio, File, Socket, Null)

struct PortConfig {
  PortMode mode = PortMode::Null;
  std::optional<std::string> path{};  // of a File or Socket
  std::optional<std::string> name{};  // /dev/virtio-ports/<name>, where the guest's udev makes it
  std::optional<bool> is_console{};   // hvc: absent: the first port is one, the others are not
};
BOOST_DESCRIBE_STRUCT(PortConfig, (), (mode, path, name, is_console))
constexpr auto json_rules(const PortConfig*) { return std::array{json::defaulted("mode")}; }

struct ConsoleConfig {
  std::vector<PortConfig> ports;  // 1 to kMaxPorts, as the guest counts them
};
BOOST_DESCRIBE_STRUCT(ConsoleConfig, (), (ports))

inline constexpr std::size_t kMaxConsolePorts = 16;
inline constexpr std::size_t kMaxPortName = 64;

// Whether the values make sense, without a look at the host: the error names the port and the
// field.
Result<void> check(const ConsoleConfig& config);
// Whether a port has the process's standard streams.
bool uses_stdio(const ConsoleConfig& config);

}  // namespace mote::virtio
