// A driver of the vsock device with its three queues, and a host in memory. The driver's buffers
// are in fixed places of guest memory and used again, so that any amount passes; guards stand
// between them.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "virtio/fake_vsock_host.h"
#include "virtio/test_driver.h"
#include "virtio/vsock/device.h"

namespace mote::virtio::test {

inline constexpr std::uint32_t kGuestCid = 42;
inline constexpr std::uint32_t kPlenty = 1 << 20;  // of credit

inline constexpr std::uint16_t kRequest = VIRTIO_VSOCK_OP_REQUEST;
inline constexpr std::uint16_t kResponse = VIRTIO_VSOCK_OP_RESPONSE;
inline constexpr std::uint16_t kRst = VIRTIO_VSOCK_OP_RST;
inline constexpr std::uint16_t kShutdown = VIRTIO_VSOCK_OP_SHUTDOWN;
inline constexpr std::uint16_t kRw = VIRTIO_VSOCK_OP_RW;
inline constexpr std::uint16_t kCreditUpdate = VIRTIO_VSOCK_OP_CREDIT_UPDATE;
inline constexpr std::uint16_t kCreditRequest = VIRTIO_VSOCK_OP_CREDIT_REQUEST;
using Ops = std::vector<std::uint16_t>;

struct Packet {
  vsock::Header header{};
  std::string payload;
};

// The guest's driver.
class VsockDriver {
 public:
  static constexpr std::uint32_t kRxPayload = 4096;
  static constexpr std::uint16_t kRxSlots = 64;
  static constexpr std::uint16_t kTxSlots = 64;

  explicit VsockDriver(Vsock& device, std::uint64_t features = kRingFeatures);
  ~VsockDriver();

  // Gives the device `count` rx buffers, and says so.
  void post(std::size_t count = kRxSlots);
  // Sends, without a look at what comes back.
  void offer(vsock::Header header, std::string_view payload = {});
  // Sends, and hands the buffer back. The header's len is the payload's unless it is set.
  void send(vsock::Header header, std::string_view payload = {});
  void kick(std::uint16_t index);
  // The packets that have come since the last call; their buffers are given back to the device
  // where `repost`.
  std::vector<Packet> take(bool repost = true);
  // The one packet that has come.
  Packet one();
  // Buffers that the device could fill.
  std::size_t posted() const { return kRxSlots - free_rx_.size(); }

  // Stops all queues, and starts them again where they were.
  void pause();
  void resume();

  memory::GuestMemory memory = make_memory();
  FakeHost host;
  std::vector<std::unique_ptr<TestRing>> rings;

 private:
  std::optional<Queue> parked_[3];
  Vsock& device_;
  std::vector<std::uint64_t> rx_at_;
  std::vector<std::uint64_t> tx_at_;
  std::vector<std::uint16_t> free_rx_;
  std::uint16_t next_tx_ = 0;
};

vsock::Header packet(std::uint16_t op, std::uint32_t host_port, std::uint32_t guest_port,
                     std::uint32_t credit = kPlenty);

// Device, driver and host, and what most tests do first.
class VsockTest : public ::testing::Test {
 protected:
  void build(Vsock::Limits limits = {}, std::uint64_t features = kRingFeatures);
  void TearDown() override;

  // A connection that the guest opened to `host_port`.
  End guest_dials(std::uint32_t host_port, std::uint32_t guest_port,
                  std::uint32_t credit = kPlenty);
  // One that the host opened to `guest_port`; `ports` are its own.
  End host_dials(std::uint32_t guest_port, vsock::Ports* ports = nullptr,
                 std::uint32_t credit = kPlenty);
  void send(std::uint16_t op, vsock::Ports ports, std::string_view payload = {},
            std::uint32_t flags = 0);
  // Pokes every end until none has anything to say; a device that does not stop to listen to what
  // it cannot take fails.
  void run_host();
  // Packets that are payload for `ports`, in one.
  static std::string payload_of(const std::vector<Packet>& packets, vsock::Ports ports);
  static std::vector<std::uint16_t> ops(const std::vector<Packet>& packets);
  // Turns the event loop for `time`.
  void wait(std::chrono::milliseconds time);

  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
  FakeBackend* backend_ = nullptr;
  std::vector<End> ends_;
  std::unique_ptr<Vsock> device_;
  std::unique_ptr<VsockDriver> driver_;
};

}  // namespace mote::virtio::test
