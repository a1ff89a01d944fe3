// A vsock device that was restored: its driver hears that its connections are gone, and host
// programs wait until it is through with that.
#include <gtest/gtest.h>

#include "virtio/vsock_rig.h"

namespace mote::virtio::test {
namespace {

using vsock::Ports;
using namespace std::chrono_literals;

class VsockRestore : public ::testing::Test {
 protected:
  void build(Vsock::Limits limits = {}, std::uint64_t features = kRingFeatures) {
    limits.tx_delay = {};
    auto backend = std::make_unique<FakeBackend>();
    hosts_ = backend.get();
    auto device = Vsock::over(kGuestCid, std::move(backend), *loop_, limits, &state_);
    ASSERT_TRUE(device);
    device_ = std::move(*device);
    driver_ = std::make_unique<VsockDriver>(*device_, features);
    driver_->post();
  }
  void TearDown() override {
    driver_.reset();
    device_.reset();
  }
  TestRing& events() { return *driver_->rings[Vsock::kEvents]; }
  // A buffer for an event, offered with a kick where the device wants one. Whether it did.
  bool offer(std::uint32_t size = sizeof(virtio_vsock_event)) {
    events().chain().out(size).push();
    const bool due = events().kick_due();
    if (due) driver_->kick(Vsock::kEvents);
    return due;
  }
  void wait(std::chrono::milliseconds time) {
    const auto end = vsock::Clock::now() + time;
    while (vsock::Clock::now() < end) ASSERT_TRUE(loop_->run_once(5));
  }

  VsockState state_{.next_host_port = Vsock::kFirstHostPort + 7};
  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
  FakeBackend* hosts_ = nullptr;
  std::unique_ptr<Vsock> device_;
  std::unique_ptr<VsockDriver> driver_;
};

TEST_F(VsockRestore, TheDriverHearsThatItsConnectionsAreGone) {
  build();
  const auto small = events().chain().out(3).push();
  const auto event = events().chain().out(8).push();
  const auto later = events().chain().out(8).push();
  driver_->kick(Vsock::kEvents);
  EXPECT_EQ(events().take_used(), (std::vector<Used>{{small, 0}, {event, 4}}));
  EXPECT_EQ(events().written(event), std::string(4, '\0') + "????");
  EXPECT_EQ(events().written(later), "????????") << "told once";
  EXPECT_EQ(device_->metrics().ev_queue_event_fails, 1U);
  offer();
  const End end = hosts_->dial(7);
  EXPECT_EQ(driver_->one().header.src_port, state_.next_host_port)
      << "a port that the guest has not seen";
  // A connection of before: the guest goes on with it, as it has not looked yet.
  driver_->send(packet(kRw, Vsock::kFirstHostPort, 7), "too late");
  EXPECT_EQ(driver_->one().header.op, kRst);
}

TEST_F(VsockRestore, HostProgramsWaitUntilTheDriverIsThroughWithIt) {
  for (const std::uint64_t features :
       {kRingFeatures, kRingFeatures & ~(std::uint64_t{1} << VIRTIO_RING_F_EVENT_IDX)}) {
    SCOPED_TRACE(features);
    build({}, features);
    for (int i = 0; i < 8; ++i) events().chain().out(sizeof(virtio_vsock_event)).push();
    EXPECT_FALSE(hosts_->listening());
    driver_->kick(Vsock::kEvents);
    EXPECT_EQ(events().take_used().size(), 1U);
    static_cast<void>(events().kick_due());
    EXPECT_FALSE(hosts_->listening()) << "it has the event, and may be at it";
    driver_->kick(Vsock::kEvents);
    EXPECT_FALSE(hosts_->listening()) << "a kick says nothing";
    EXPECT_TRUE(offer()) << "it is asked for a kick, though other buffers wait";
    EXPECT_TRUE(hosts_->listening());
    driver_.reset();
  }
}

TEST_F(VsockRestore, ADriverThatDoesNotSayThatItHasHeardIsNotWaitedForForEver) {
  const auto began = vsock::Clock::now();
  build({.notice = 30ms});
  // It has no buffer for it, and gives one late.
  EXPECT_FALSE(hosts_->listening());
  while (!hosts_->listening() && vsock::Clock::now() < began + 20s) wait(5ms);
  EXPECT_TRUE(hosts_->listening());
  EXPECT_GE(vsock::Clock::now(), began + 30ms);
  EXPECT_TRUE(offer());
  EXPECT_EQ(events().take_used().size(), 1U);
  // A pause does not begin it anew.
  driver_->pause();
  EXPECT_FALSE(hosts_->listening());
  driver_->resume();
  EXPECT_TRUE(hosts_->listening());
}

TEST_F(VsockRestore, TheWaitBeginsWhenTheMachineGoesOn) {
  build({.notice = 50ms});
  EXPECT_TRUE(offer());
  EXPECT_EQ(events().take_used().size(), 1U);
  driver_->pause();
  wait(80ms);
  driver_->resume();
  EXPECT_FALSE(hosts_->listening()) << "it could not answer while it was paused";
  // What it said before the next pause, and was not looked at, is seen after that.
  events().chain().out(sizeof(virtio_vsock_event)).push();
  driver_->pause();
  driver_->resume();
  EXPECT_TRUE(hosts_->listening());
}

TEST_F(VsockRestore, ADriverThatStartsAnewHasNothingToHear) {
  build();
  EXPECT_TRUE(offer());
  EXPECT_EQ(events().take_used().size(), 1U);
  driver_->pause();
  device_->reset();
  driver_->resume();
  EXPECT_TRUE(hosts_->listening());
  static_cast<void>(offer());
  EXPECT_TRUE(events().take_used().empty());
}

TEST_F(VsockRestore, BuffersThatHoldNoEventAreGivenBack) {
  build();
  for (int i = 0; i < Vsock::kQueueSize / 2; ++i) EXPECT_TRUE(offer(3) || i > 0);
  driver_->kick(Vsock::kEvents);
  EXPECT_EQ(events().take_used().size(), Vsock::kQueueSize / 2U);
  EXPECT_EQ(device_->metrics().ev_queue_event_fails, Vsock::kQueueSize / 2U);
  EXPECT_FALSE(hosts_->listening());
  EXPECT_TRUE(offer()) << "the next is asked for";
  EXPECT_TRUE(offer());
  EXPECT_TRUE(hosts_->listening());
}

}  // namespace
}  // namespace mote::virtio::test
