// A host program with a real Unix socket, and the vsock device over them.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>

#include "base/unique_fd.h"
#include "temp_dir.h"
#include "virtio/vsock/unix/backend.h"
#include "virtio/vsock_rig.h"

namespace mote::virtio::test {

inline sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// A host program.
class Program {
 public:
  Program() : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  explicit Program(UniqueFd fd) : fd_(std::move(fd)) {}

  bool connect(const std::string& path) {
    const sockaddr_un address = address_of(path);
    return ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  void listen(const std::string& path) {
    const sockaddr_un address = address_of(path);
    ASSERT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(fd_.get(), 16), 0);
  }
  Program accept() { return Program(UniqueFd(::accept(fd_.get(), nullptr, nullptr))); }
  void say(std::string_view text) {
    EXPECT_EQ(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // What there is to read; empty when there is nothing, "<end>" at the end.
  std::string hear() {
    std::string text(1 << 16, '\0');
    const ssize_t got = ::recv(fd_.get(), text.data(), text.size(), MSG_DONTWAIT);
    if (got == 0) return "<end>";
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
  }
  bool hung_up() const {
    pollfd poll{.fd = fd_.get(), .events = 0, .revents = 0};
    return ::poll(&poll, 1, 0) == 1 && (poll.revents & POLLHUP) != 0;
  }
  void shut(int how) { ::shutdown(fd_.get(), how); }
  void close() { fd_.reset(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

 private:
  UniqueFd fd_;
};

class VsockUnixTest : public ::testing::Test {
 protected:
  void SetUp() override { build(); }
  void build(vsock::UnixBackend::Limits limits = {}) {
    driver_.reset();
    device_.reset();
    auto backend = vsock::UnixBackend::create(path_, *loop_, limits);
    ASSERT_TRUE(backend) << backend.error().text();
    auto device = Vsock::over(kGuestCid, std::move(*backend), *loop_, {.tx_delay = {}});
    ASSERT_TRUE(device);
    device_ = std::move(*device);
    driver_ = std::make_unique<VsockDriver>(*device_);
    driver_->post();
  }
  void turn(int times = 20) {
    for (int i = 0; i < times; ++i) ASSERT_TRUE(loop_->run_once(0));
  }
  void wait(std::chrono::milliseconds time) {
    const auto end = vsock::Clock::now() + time;
    while (vsock::Clock::now() < end) ASSERT_TRUE(loop_->run_once(5));
  }
  // Expects a request for `port`, and answers it; the connection's ports.
  vsock::Ports expect_request(std::uint32_t port) {
    turn();
    const Packet request = driver_->one();
    EXPECT_EQ(request.header.op, VIRTIO_VSOCK_OP_REQUEST);
    EXPECT_EQ(request.header.dst_port, port);
    driver_->send(packet(VIRTIO_VSOCK_OP_RESPONSE, request.header.src_port, port));
    return {.host = request.header.src_port, .guest = port};
  }
  void guest_says(vsock::Ports ports, std::string_view text) {
    driver_->send(packet(VIRTIO_VSOCK_OP_RW, ports.host, ports.guest), text);
  }
  std::string guest_hears() {
    std::string all;
    for (const Packet& packet : driver_->take()) {
      all += packet.header.op == VIRTIO_VSOCK_OP_RW ? packet.payload
                                                    : fmt::format("<{}>", packet.header.op);
    }
    return all;
  }

  mote::test::TempDir directory_;
  std::string path_ = directory_ / "v.sock";
  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
  std::unique_ptr<Vsock> device_;
  std::unique_ptr<VsockDriver> driver_;
};

}  // namespace mote::virtio::test
