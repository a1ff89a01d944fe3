// Host programs in memory for the vsock device: streams that take as much as they are told to, fail
// on demand, and say that they are ready when they are poked.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "virtio/vsock/host.h"

namespace mote::virtio::test {

// The host's end of a stream: what a host program would do with it. Outlives the stream.
struct FakeEnd {
  // What poll() would say.
  vsock::Ready ready() const {
    return {.readable = wants_read.value_or(false) && (!incoming.empty() || ended || hung_up),
            .writable = wants_write && room > 0,
            .hung_up = wants_read.has_value() && hung_up};
  }
  // Calls the listener where it waits for what there is; false: it does not. May end the stream.
  bool poke() const {
    const vsock::Ready now = ready();
    if (closed || (!now.readable && !now.writable && !now.hung_up)) return false;
    const auto call = listener;  // the stream may take its own along
    call(now);
    return true;
  }

  std::string incoming;        // the program has written this
  bool ended = false;          // and shut its writing side
  std::string outgoing;        // it could read this
  std::size_t room = 1 << 30;  // that its socket takes
  bool hung_up = false;
  bool fail_reads = false;
  bool fail_writes = false;
  bool fail_watches = false;
  std::size_t most = 1 << 30;  // bytes a call

  // What the device did.
  bool closed = false;
  bool write_shut = false;
  bool read_shut = false;
  std::optional<std::uint32_t> accepted_port;
  std::optional<bool> wants_read;  // empty: unwatched
  bool wants_write = false;
  int reads = 0;
  int looks = 0;
  int releases = 0;
  std::function<void()> on_look;
  vsock::HostStream::Listener listener;
};
using End = std::shared_ptr<FakeEnd>;

class FakeStream final : public vsock::HostStream {
 public:
  explicit FakeStream(End end) : end_(std::move(end)) {}
  FakeStream(const FakeStream&) = delete;
  FakeStream& operator=(const FakeStream&) = delete;
  ~FakeStream() override {
    end_->closed = true;
    end_->listener = nullptr;
  }

  Result<std::optional<std::size_t>> read(std::span<const iovec> buffers) override {
    ++end_->reads;
    if (end_->fail_reads) return fail(ErrorKind::kIo, "the fake stream fails");
    if (end_->incoming.empty()) {
      if (end_->ended || end_->hung_up) return 0;
      return std::nullopt;
    }
    std::size_t done = 0;
    for (const iovec& buffer : buffers) {
      const std::size_t here =
          std::min({buffer.iov_len, end_->incoming.size() - done, end_->most - done});
      std::memcpy(buffer.iov_base, end_->incoming.data() + done, here);
      done += here;
    }
    end_->incoming.erase(0, done);
    return done;
  }
  bool waiting() override {
    ++end_->looks;
    if (end_->on_look) end_->on_look();
    return !end_->fail_reads && (!end_->incoming.empty() || end_->ended || end_->hung_up);
  }
  void release() override { ++end_->releases; }
  Result<std::optional<std::size_t>> write(std::span<const iovec> buffers) override {
    if (end_->fail_writes || end_->hung_up) return fail(ErrorKind::kIo, "the fake stream fails");
    std::size_t done = 0;
    for (const iovec& buffer : buffers) {
      const std::size_t here = std::min({buffer.iov_len, end_->room, end_->most - done});
      end_->outgoing.append(static_cast<const char*>(buffer.iov_base), here);
      end_->room -= here;
      done += here;
    }
    if (done == 0) return std::nullopt;
    return done;
  }
  void shut_write() override { end_->write_shut = true; }
  void shut_read() override { end_->read_shut = true; }
  Result<void> accepted(std::uint32_t port) override {
    end_->accepted_port = port;
    if (end_->fail_writes) return fail(ErrorKind::kIo, "the fake stream fails");
    return {};
  }
  void set_listener(Listener listener) override { end_->listener = std::move(listener); }
  Result<void> watch(bool readable, bool writable) override {
    if (end_->fail_watches) return fail(ErrorKind::kResource, "the fake stream fails");
    end_->wants_read = readable;
    end_->wants_write = writable;
    return {};
  }
  void unwatch() override {
    end_->wants_read.reset();
    end_->wants_write = false;
  }

 private:
  End end_;
};

class FakeBackend final : public vsock::HostBackend {
 public:
  Result<std::unique_ptr<vsock::HostStream>> connect(std::uint32_t port) override {
    const auto service = services.find(port);
    if (service == services.end()) return fail(ErrorKind::kNotFound, "nobody is at port {}", port);
    service->second.push_back(std::make_shared<FakeEnd>());
    return std::make_unique<FakeStream>(service->second.back());
  }
  Result<void> listen(Newcomer newcomer) override {
    newcomer_ = std::move(newcomer);
    return {};
  }
  void ignore() override { newcomer_ = nullptr; }
  std::uint64_t failed() const override { return 0; }

  // A host program connects to `port` of the guest.
  End dial(std::uint32_t port) {
    auto end = std::make_shared<FakeEnd>();
    if (newcomer_) newcomer_(std::make_unique<FakeStream>(end), port);
    return end;
  }
  bool listening() const { return newcomer_ != nullptr; }

  std::map<std::uint32_t, std::vector<End>> services;  // connections by port; absent: nobody there

 private:
  Newcomer newcomer_;
};

}  // namespace mote::virtio::test
