// A vhost-user-blk backend in a thread, over a text: it maps guest memory by the descriptors that
// it is sent, serves the ring, keeps notes of what is under way, and can be told to misbehave or
// die.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "virtio/queue/queue.h"
#include "virtio/vhost_user/protocol.h"

namespace mote::virtio::test {

struct FakeMessage {
  vhost_user::MessageHeader header;
  std::vector<std::byte> payload;
  std::vector<UniqueFd> fds;
};

struct BackendTraits {
  std::uint64_t features = 0;           // of virtio
  std::uint64_t protocol_features = 0;  // by bit
  bool has_protocol_features = true;
  // Requests are taken and noted, and never done.
  bool holds = false;
  // Asked first; true: it has dealt with the message, by answering `fd` or not.
  std::function<bool(int fd, const FakeMessage& message)> instead;
};

// All that is needed.
BackendTraits good_backend();

class FakeBackend {
 public:
  // Listens at `path`. `disk` is read and written while this lives.
  FakeBackend(std::string path, std::string& disk, BackendTraits traits = good_backend());
  FakeBackend(const FakeBackend&) = delete;
  FakeBackend& operator=(const FakeBackend&) = delete;
  // As if it were killed.
  ~FakeBackend();

  unsigned served() const { return served_; }
  unsigned taken() const { return taken_; }
  std::uint64_t acknowledged() const { return acknowledged_; }
  bool running() const { return running_; }
  // The requests that it was sent, in order.
  std::vector<vhost_user::Request> requests() const;

  static void reply(int fd, vhost_user::Request request, std::span<const std::byte> payload,
                    int with_fd = -1);

 private:
  struct Region {
    vhost_user::MemoryRegion region;
    std::byte* host = nullptr;
    std::uint64_t mapped = 0;
  };
  // What stands in the notes: heads that were taken and not given back.
  struct Notes {
    std::uint32_t count = 0;
    std::uint16_t heads[64] = {};
  };

  void run();
  bool receive(FakeMessage& message);
  void handle(FakeMessage message);
  bool answer_value(const FakeMessage& message);
  void set_memory(const FakeMessage& message);
  void set_queue(FakeMessage& message);
  void set_notes(FakeMessage& message);
  void serve();
  void finish(std::uint16_t head);
  void close_all();
  template <typename T>
  T* at_ours(std::uint64_t address) const;
  std::byte* at_guest(std::uint64_t address) const;

  std::string path_;
  std::string& disk_;
  BackendTraits traits_;
  UniqueFd listener_;
  UniqueFd stop_;
  UniqueFd connection_;
  UniqueFd kick_;
  UniqueFd call_;
  std::vector<Region> regions_;
  vhost_user::VringAddresses rings_;
  std::uint32_t size_ = 0;
  std::uint16_t next_ = 0;
  std::uint16_t used_ = 0;
  std::atomic<bool> running_ = false;
  Notes* notes_ = nullptr;
  std::atomic<unsigned> served_ = 0;
  std::atomic<unsigned> taken_ = 0;
  std::atomic<std::uint64_t> acknowledged_ = 0;
  mutable std::mutex mutex_;
  std::vector<vhost_user::Request> requests_;
  std::thread thread_;
};

}  // namespace mote::virtio::test
