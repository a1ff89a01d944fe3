// Frontend is this side of a vhost-user connection, for a device of any type: it hands a backend
// the guest's memory and the device's queues, and takes queues back. Every answer is checked. After
// the first error the connection is of no use any more.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"
#include "virtio/queue/queue.h"
#include "virtio/vhost_user/channel.h"

namespace mote::virtio::vhost_user {

// The backend's notes of what it has under way. Kept here, so that they outlive it.
struct Inflight {
  InflightRegion region;
  UniqueFd fd;
};

class Frontend {
 public:
  // Introduces itself over `channel` and asks for at least `queues` queues. Errors: kUnsupported
  // for a backend that has fewer, or that cannot do VIRTIO 1; kIo.
  static Result<std::unique_ptr<Frontend>> create(Channel channel, std::uint16_t queues);

  // What the backend offers, the ring's features among it.
  std::uint64_t features() const { return features_; }
  bool can(unsigned protocol_feature) const {
    return (protocol_features_ >> protocol_feature & 1) != 0;
  }
  int fd() const { return channel_.fd(); }

  // Copies the first `into.size()` bytes (at most kMostConfig) of the device's configuration space.
  // Errors: a backend that does not tell (kUnsupported), kIo.
  Result<void> read_config(std::span<std::byte> into);

  // Before the first queue is started: what the driver negotiated, and where guest memory is.
  // Errors: memory that is not shared (kInvalid), more regions than a backend takes (kUnsupported),
  // kIo.
  Result<void> set_up(std::uint64_t features, const memory::GuestMemory& memory);
  // Lets the backend make its notes, or hands it those of the one before.
  Result<Inflight> make_inflight(std::uint16_t queues, std::uint16_t queue_size);
  Result<void> set_inflight(const Inflight& inflight);

  Result<void> start_queue(std::uint16_t index, const QueueWiring& wiring,
                           const memory::GuestMemory& memory);
  // Where the backend stopped in the available ring; nothing is under way any more.
  Result<std::uint16_t> stop_queue(std::uint16_t index);

 private:
  explicit Frontend(Channel channel) : channel_(std::move(channel)) {}

  Result<void> greet(std::uint16_t queues);
  Result<std::uint64_t> ask(Request request);
  Result<void> tell(Request request, std::span<const std::byte> payload,
                    std::span<const int> fds = {});
  template <typename T>
  Result<void> tell(Request request, const T& value, std::span<const int> fds = {}) {
    return tell(request, std::as_bytes(std::span(&value, 1)), fds);
  }
  Result<void> set_memory(const memory::GuestMemory& memory);

  Channel channel_;
  std::uint64_t features_ = 0;
  std::uint64_t protocol_features_ = 0;
  bool has_protocol_features_ = false;
};

}  // namespace mote::virtio::vhost_user
