// The packets of virtio-vsock (VIRTIO 1.2, 5.10.6): a header, and for VIRTIO_VSOCK_OP_RW its
// payload.
#pragma once

#include <linux/virtio_vsock.h>
#include <linux/vm_sockets.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace mote::virtio::vsock {

using Header = virtio_vsock_hdr;

// The host's address.
inline constexpr std::uint64_t kHostCid = 2;
// The most payload that a packet has, as Linux has it both ways.
inline constexpr std::uint32_t kMaxPayload = 64 * 1024;
// What a connection buffers for a host program that does not read: the guest's credit.
inline constexpr std::uint32_t kBufAlloc = 64 * 1024;

inline constexpr std::uint32_t kShutReceive = VIRTIO_VSOCK_SHUTDOWN_RCV;
inline constexpr std::uint32_t kShutSend = VIRTIO_VSOCK_SHUTDOWN_SEND;
inline constexpr std::uint32_t kShutBoth = kShutReceive | kShutSend;

// What tells the connections of a guest apart.
struct Ports {
  std::uint32_t host = 0;
  std::uint32_t guest = 0;
  bool operator==(const Ports&) const = default;
};

struct PortsHash {
  std::size_t operator()(const Ports& ports) const {
    return std::hash<std::uint64_t>()(std::uint64_t{ports.host} << 32 | ports.guest);
  }
};

}  // namespace mote::virtio::vsock
