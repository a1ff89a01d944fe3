// The vhost-user protocol (QEMU's docs/interop/vhost-user.rst): numbers and the layout of messages.
// Both sides are on one host; integers are in its byte order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mote::virtio::vhost_user {

enum class Request : std::uint32_t {
  kGetFeatures = 1,
  kSetFeatures = 2,
  kSetOwner = 3,
  kSetMemTable = 5,
  kSetVringNum = 8,
  kSetVringAddr = 9,
  kSetVringBase = 10,
  kGetVringBase = 11,
  kSetVringKick = 12,
  kSetVringCall = 13,
  kGetProtocolFeatures = 15,
  kSetProtocolFeatures = 16,
  kGetQueueNum = 17,
  kSetVringEnable = 18,
  kGetConfig = 24,
  kGetInflightFd = 31,
  kSetInflightFd = 32,
};

// A feature bit of the protocol among those of virtio, which no driver sees.
inline constexpr unsigned kProtocolFeaturesBit = 30;

// Protocol features, by bit.
inline constexpr unsigned kMultiQueue = 0;
inline constexpr unsigned kReplyAck = 3;
inline constexpr unsigned kConfig = 9;
inline constexpr unsigned kInflight = 12;

struct MessageHeader {
  Request request{};
  std::uint32_t flags = 0;
  std::uint32_t size = 0;  // bytes of payload
};
static_assert(sizeof(MessageHeader) == 12);

inline constexpr std::uint32_t kVersion = 1;  // in the lowest two bits of the flags
inline constexpr std::uint32_t kVersionMask = 3;
inline constexpr std::uint32_t kIsReply = 1U << 2;
inline constexpr std::uint32_t kNeedsReply = 1U << 3;

struct VringState {
  std::uint32_t index = 0;
  std::uint32_t value = 0;
};
struct VringAddresses {
  std::uint32_t index = 0;
  std::uint32_t flags = 0;
  std::uint64_t descriptors = 0;  // as this process sees guest memory
  std::uint64_t used = 0;
  std::uint64_t available = 0;
  std::uint64_t log = 0;
};
static_assert(sizeof(VringAddresses) == 40);

inline constexpr std::size_t kMostRegions = 8;
struct MemoryRegion {
  std::uint64_t guest_address = 0;
  std::uint64_t size = 0;
  std::uint64_t our_address = 0;
  std::uint64_t file_offset = 0;
};
struct MemoryTable {
  std::uint32_t count = 0;
  std::uint32_t padding = 0;
  MemoryRegion regions[kMostRegions];
};

inline constexpr std::size_t kMostConfig = 256;
struct ConfigHeader {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  std::uint32_t flags = 0;
};

// What a backend keeps of requests under way, in memory that it makes and we keep for its
// successor.
struct InflightRegion {
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
  std::uint16_t queues = 0;
  std::uint16_t queue_size = 0;
  std::uint32_t padding = 0;
};
static_assert(sizeof(InflightRegion) == 24);

}  // namespace mote::virtio::vhost_user
