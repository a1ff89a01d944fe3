#include "virtio/console/config.h"

#include <sys/un.h>

#include <algorithm>

#include "base/json.h"

namespace mote::virtio {
namespace {

// Room for a socket's path, with the NUL at its end.
constexpr std::size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

Result<void> check_path(const PortConfig& port) {
  const bool wanted = port.mode == PortMode::File || port.mode == PortMode::Socket;
  if (!wanted) {
    if (!port.path) return {};
    return fail(ErrorKind::kInvalid, "path is given; it is for the modes File and Socket");
  }
  if (!port.path || port.path->empty()) {
    return fail(ErrorKind::kInvalid, "path is missing; name the {}",
                port.mode == PortMode::File ? "file" : "socket");
  }
  if (port.path->find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "path has a NUL character in it");
  }
  if (port.mode == PortMode::Socket && port.path->size() > kMaxSocketPath) {
    return fail(ErrorKind::kInvalid, "path has {} bytes; that of a socket has at most {}",
                port.path->size(), kMaxSocketPath);
  }
  return {};
}

Result<void> check_name(const PortConfig& port) {
  if (!port.name) return {};
  const auto printable = [](char c) { return c > ' ' && c <= '~' && c != '/'; };
  if (port.name->empty() || port.name->size() > kMaxPortName ||
      !std::ranges::all_of(*port.name, printable)) {
    return fail(ErrorKind::kInvalid,
                "name is {}; it must be 1 to {} printable ASCII characters, without spaces and '/'",
                json::quote(*port.name), kMaxPortName);
  }
  return {};
}

}  // namespace

Result<void> check(const ConsoleConfig& config) {
  const std::vector<PortConfig>& ports = config.ports;
  if (ports.empty() || ports.size() > kMaxConsolePorts) {
    return fail(ErrorKind::kInvalid, "there are {} ports; a console has 1 to {}", ports.size(),
                kMaxConsolePorts);
  }
  for (std::size_t i = 0; i < ports.size(); ++i) {
    MOTE_CHECK_WITHIN(check_path(ports[i]), "port {}", i);
    MOTE_CHECK_WITHIN(check_name(ports[i]), "port {}", i);
    for (std::size_t other = 0; other < i; ++other) {
      if (ports[i].name && ports[i].name == ports[other].name) {
        return fail(ErrorKind::kInvalid, "the ports {} and {} have the name {}; each needs its own",
                    other, i, json::quote(*ports[i].name));
      }
      if (ports[i].mode == PortMode::Stdio && ports[other].mode == PortMode::Stdio) {
        return fail(ErrorKind::kInvalid,
                    "the ports {} and {} both have the mode Stdio; at most one may", other, i);
      }
    }
  }
  return {};
}

bool uses_stdio(const ConsoleConfig& config) {
  return std::ranges::any_of(config.ports,
                             [](const PortConfig& port) { return port.mode == PortMode::Stdio; });
}

}  // namespace mote::virtio
