#include "virtio/vhost_user/frontend.h"

#include <linux/virtio_config.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace mote::virtio::vhost_user {
namespace {

constexpr std::uint64_t bit(unsigned number) { return std::uint64_t{1} << number; }

constexpr std::uint64_t kKnown = bit(kMultiQueue) | bit(kReplyAck) | bit(kConfig) | bit(kInflight);
// How long a backend may take to finish what it has under way.
constexpr std::chrono::seconds kDrainPatience{10};
// So much is more than any backend needs, and less than what hurts.
constexpr std::uint64_t kMostInflight = std::uint64_t{64} << 20;

// Where `address` of the guest is in this process, which is how a backend is told of rings.
Result<std::uint64_t> our_address(const memory::GuestMemory& memory, std::uint64_t address) {
  for (const memory::RegionView& region : memory.regions()) {
    if (address >= region.range.start && address < region.range.end()) {
      return region.host_address + (address - region.range.start);
    }
  }
  return fail(ErrorKind::kGuest, "a ring at {:#x} is not in memory that the backend has", address);
}

template <typename T>
Result<T> value_of(const Reply& reply, Request request) {
  T value{};
  if (reply.payload.size() != sizeof value) {
    return fail(ErrorKind::kIo, "the vhost-user backend answers request {} with {} bytes",
                static_cast<unsigned>(request), reply.payload.size());
  }
  std::memcpy(&value, reply.payload.data(), sizeof value);
  return value;
}

}  // namespace

Result<std::unique_ptr<Frontend>> Frontend::create(Channel channel, std::uint16_t queues) {
  std::unique_ptr<Frontend> frontend(new Frontend(std::move(channel)));
  MOTE_CHECK(frontend->greet(queues));
  return frontend;
}

Result<void> Frontend::greet(std::uint16_t queues) {
  MOTE_TRY(const std::uint64_t offered, ask(Request::kGetFeatures));
  features_ = offered & ~bit(kProtocolFeaturesBit);
  if ((features_ & bit(VIRTIO_F_VERSION_1)) == 0) {
    return fail(ErrorKind::kUnsupported, "the vhost-user backend cannot do VIRTIO 1");
  }
  if ((offered & bit(kProtocolFeaturesBit)) != 0) {
    MOTE_TRY(const std::uint64_t known, ask(Request::kGetProtocolFeatures));
    MOTE_CHECK(tell(Request::kSetProtocolFeatures, known & kKnown));
    protocol_features_ = known & kKnown;
    has_protocol_features_ = true;
  }
  MOTE_CHECK(tell(Request::kSetOwner, std::span<const std::byte>()));
  std::uint64_t most = 1;
  if (can(kMultiQueue)) {
    MOTE_TRY(most, ask(Request::kGetQueueNum));
  }
  if (most < queues) {
    return fail(ErrorKind::kUnsupported, "the vhost-user backend has {} queues, and {} are wanted",
                most, queues);
  }
  return {};
}

Result<std::uint64_t> Frontend::ask(Request request) {
  MOTE_CHECK(channel_.send(request, false, {}));
  MOTE_TRY(const Reply reply, channel_.receive(request, sizeof(std::uint64_t)));
  return value_of<std::uint64_t>(reply, request);
}

Result<void> Frontend::tell(Request request, std::span<const std::byte> payload,
                            std::span<const int> fds) {
  const bool checked = can(kReplyAck);
  MOTE_CHECK(channel_.send(request, checked, payload, fds));
  if (!checked) return {};
  MOTE_TRY(const Reply reply, channel_.receive(request, sizeof(std::uint64_t)));
  MOTE_TRY(const auto status, value_of<std::uint64_t>(reply, request));
  if (status == 0) return {};
  return fail(ErrorKind::kIo, "the vhost-user backend refuses request {} ({})",
              static_cast<unsigned>(request), status);
}

Result<void> Frontend::read_config(std::span<std::byte> into) {
  if (!can(kConfig)) {
    return fail(ErrorKind::kUnsupported,
                "the vhost-user backend does not tell its configuration space");
  }
  const ConfigHeader header{
      .offset = 0, .size = static_cast<std::uint32_t>(into.size()), .flags = 0};
  std::vector<std::byte> payload(sizeof header + into.size());
  std::memcpy(payload.data(), &header, sizeof header);
  MOTE_CHECK(channel_.send(Request::kGetConfig, false, payload));
  MOTE_TRY(const Reply reply, channel_.receive(Request::kGetConfig, payload.size()));
  ConfigHeader answer;
  if (reply.payload.size() == payload.size()) {
    std::memcpy(&answer, reply.payload.data(), sizeof answer);
  }
  if (answer.size != header.size || answer.offset != 0) {
    return fail(ErrorKind::kIo,
                "the vhost-user backend does not tell {} bytes of its configuration space",
                into.size());
  }
  std::memcpy(into.data(), reply.payload.data() + sizeof answer, into.size());
  return {};
}

Result<void> Frontend::set_up(std::uint64_t features, const memory::GuestMemory& memory) {
  if (has_protocol_features_) features |= bit(kProtocolFeaturesBit);
  MOTE_CHECK(tell(Request::kSetFeatures, features));
  return set_memory(memory);
}

Result<void> Frontend::set_memory(const memory::GuestMemory& memory) {
  const auto regions = memory.regions();
  if (regions.size() > kMostRegions) {
    return fail(ErrorKind::kUnsupported, "guest memory has {} regions, and a backend takes {}",
                regions.size(), kMostRegions);
  }
  MemoryTable table{.count = static_cast<std::uint32_t>(regions.size()), .regions = {}};
  std::vector<int> fds;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const memory::RegionView& region = regions[i];
    if (region.fd < 0) {
      return fail(ErrorKind::kInvalid, "guest memory is not shared, as a vhost-user backend needs");
    }
    table.regions[i] = {.guest_address = region.range.start,
                        .size = region.range.size,
                        .our_address = region.host_address,
                        .file_offset = region.file_offset};
    fds.push_back(region.fd);
  }
  const auto bytes = std::as_bytes(std::span(&table, 1));
  return tell(Request::kSetMemTable,
              bytes.first(offsetof(MemoryTable, regions) + regions.size() * sizeof(MemoryRegion)),
              fds);
}

Result<Inflight> Frontend::make_inflight(std::uint16_t queues, std::uint16_t queue_size) {
  const InflightRegion wanted{.queues = queues, .queue_size = queue_size};
  MOTE_CHECK(channel_.send(Request::kGetInflightFd, false, std::as_bytes(std::span(&wanted, 1))));
  MOTE_TRY(Reply reply, channel_.receive(Request::kGetInflightFd, sizeof wanted));
  MOTE_TRY(InflightRegion region, value_of<InflightRegion>(reply, Request::kGetInflightFd));
  if (reply.fds.size() != 1 || region.size == 0 || region.size > kMostInflight) {
    return fail(ErrorKind::kIo,
                "the vhost-user backend answers with {} descriptors for {} bytes of notes",
                reply.fds.size(), region.size);
  }
  region.queues = queues;
  region.queue_size = queue_size;
  return Inflight{.region = region, .fd = std::move(reply.fds.front())};
}

Result<void> Frontend::set_inflight(const Inflight& inflight) {
  const int fd = inflight.fd.get();
  return tell(Request::kSetInflightFd, inflight.region, std::span(&fd, 1));
}

Result<void> Frontend::start_queue(std::uint16_t index, const QueueWiring& wiring,
                                   const memory::GuestMemory& memory) {
  const QueueAddresses& rings = wiring.addresses;
  VringAddresses addresses{.index = index};
  MOTE_TRY(addresses.descriptors, our_address(memory, rings.descriptors));
  MOTE_TRY(addresses.available, our_address(memory, rings.driver));
  MOTE_TRY(addresses.used, our_address(memory, rings.device));
  MOTE_CHECK(tell(Request::kSetVringNum, VringState{.index = index, .value = rings.size}));
  MOTE_CHECK(tell(Request::kSetVringBase, VringState{.index = index, .value = wiring.next_avail}));
  MOTE_CHECK(tell(Request::kSetVringAddr, addresses));
  const std::uint64_t number = index;
  MOTE_CHECK(tell(Request::kSetVringCall, number, std::span(&wiring.interrupt_fd, 1)));
  MOTE_CHECK(tell(Request::kSetVringKick, number, std::span(&wiring.kick_fd, 1)));
  // Without protocol features a queue is enabled from its start.
  if (!has_protocol_features_) return {};
  return tell(Request::kSetVringEnable, VringState{.index = index, .value = 1});
}

Result<std::uint16_t> Frontend::stop_queue(std::uint16_t index) {
  const VringState asked{.index = index};
  MOTE_CHECK(channel_.send(Request::kGetVringBase, false, std::as_bytes(std::span(&asked, 1))));
  MOTE_TRY(const Reply reply,
           channel_.receive(Request::kGetVringBase, sizeof asked, kDrainPatience));
  MOTE_TRY(const auto base, value_of<VringState>(reply, Request::kGetVringBase));
  if (base.index != index || base.value > UINT16_MAX) {
    return fail(ErrorKind::kIo, "the vhost-user backend says that queue {} stopped at {}",
                base.index, base.value);
  }
  return static_cast<std::uint16_t>(base.value);
}

}  // namespace mote::virtio::vhost_user
