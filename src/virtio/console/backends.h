// The ends that a console port can have on the host.
#pragma once

#include <memory>
#include <string>

#include "base/byte_sink.h"
#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "virtio/console/backend.h"
#include "virtio/console/config.h"

namespace mote::virtio {

// Opens what `config` (checked before) names. Errors name the path. `loop` outlives the backend.
Result<std::unique_ptr<PortBackend>> make_backend(const PortConfig& config, EventLoop& loop);

// Takes everything, and nothing comes from it.
class NullBackend final : public PortBackend {
 public:
  bool connected() const override { return true; }
  Result<std::size_t> write(std::span<const std::byte> bytes) override { return bytes.size(); }
  Result<std::size_t> read(std::span<std::byte>) override { return 0; }
};

// Descriptors of the process or of a file, whose flags are left alone.
class StreamBackend final : public PortBackend {
 public:
  // Both stay the caller's and open; `input` is -1 where there is none.
  static Result<std::unique_ptr<StreamBackend>> create(EventLoop& loop, int input, int output);
  // A file, made where it is missing, to which output is appended.
  static Result<std::unique_ptr<StreamBackend>> open(EventLoop& loop, const std::string& path);

  bool connected() const override { return true; }
  Result<std::size_t> write(std::span<const std::byte> bytes) override;
  Result<std::size_t> read(std::span<std::byte> into) override;
  std::optional<WindowSize> window() const override;

 private:
  StreamBackend(EventLoop& loop, UniqueFd file, int input, int output, FdSink sink)
      : loop_(loop),
        file_(std::move(file)),
        input_(input),
        output_(output),
        sink_(std::move(sink)) {}

  EventLoop& loop_;
  UniqueFd file_;
  int input_;  // -1: there is none, or it has ended
  int output_;
  FdSink sink_;
  EventLoop::Watch readable_;
  EventLoop::Watch writable_;
};

// A listening Unix socket, removed at the end, and at most one client of it: others wait until it
// has hung up.
class SocketBackend final : public PortBackend {
 public:
  // An error when something is at `path` already.
  static Result<std::unique_ptr<SocketBackend>> listen(EventLoop& loop, const std::string& path);
  ~SocketBackend() override;
  SocketBackend(const SocketBackend&) = delete;
  SocketBackend& operator=(const SocketBackend&) = delete;

  bool connected() const override { return static_cast<bool>(client_); }
  Result<std::size_t> write(std::span<const std::byte> bytes) override;
  Result<std::size_t> read(std::span<std::byte> into) override;

 private:
  SocketBackend(EventLoop& loop, UniqueFd listener, std::string path)
      : loop_(loop), listener_(std::move(listener)), path_(std::move(path)) {}
  Result<void> wait_for_client();
  void accept();
  // Waits for what is wanted of the client, and always for its end.
  void watch_client();
  void on_client(std::uint32_t events);
  void drop_client();
  void drop_client_later();

  EventLoop& loop_;
  UniqueFd listener_;
  std::string path_;
  UniqueFd client_;
  bool want_input_ = false;
  bool want_room_ = false;
  bool input_ended_ = false;  // the client writes no more; it may still read
  bool gone_ = false;         // it has hung up; what it wrote may still be there
  EventLoop::Watch accepting_;
  EventLoop::Watch watch_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();  // dies with this, for what was posted
};

}  // namespace mote::virtio
