// Rate limits of a network device, each way by itself.
#include <gtest/gtest.h>

#include "virtio/net_rig.h"

namespace mote::virtio::test {
namespace {

constexpr std::uint64_t kFarAway = 1'000'000'000;  // ms

class NetLimitTest : public NetTest {
 protected:
  static NetConfig limited(std::optional<RateLimiterConfig> rx,
                           std::optional<RateLimiterConfig> tx) {
    return {.iface_id = "test",
            .host_dev_name = "tap",
            .rx_rate_limiter = std::move(rx),
            .tx_rate_limiter = std::move(tx)};
  }
  static RateLimiterConfig frames(std::uint64_t count, std::uint64_t ms) {
    return {.bandwidth = {}, .ops = TokenBucketConfig{.size = count, .refill_time = ms}};
  }
  static RateLimiterConfig bytes(std::uint64_t count, std::uint64_t ms) {
    return {.bandwidth = TokenBucketConfig{.size = count, .refill_time = ms}, .ops = {}};
  }
  void push_buffers(int count) {
    for (int i = 0; i < count; ++i) rx().chain().out(2000).push();
    rx().kick();
  }
  // Turns the loop until `done`, or nothing happens for two seconds.
  template <typename Done>
  void wait_until(Done done) {
    while (!done() && *services_.loop->run_once(2000)) {
    }
  }
};

TEST_F(NetLimitTest, FramesIntoTheGuestWaitTheirTime) {
  build(limited(frames(2, 20), {}));
  push_buffers(10);
  for (int i = 0; i < 6; ++i) link_->arrive(frame_of(60 + i));
  EXPECT_EQ(metrics().rx_packets_count, 2U);
  EXPECT_GE(link_->waiting[0].size(), 3U) << "what waits, waits in the link";
  wait_until([&] { return metrics().rx_packets_count == 6; });
  const auto used = rx().ring.take_used();
  ASSERT_EQ(used.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(used[i].length, kHeader + 60 + i) << "in order";
  EXPECT_GE(metrics().rx_rate_limiter_throttled, 2U);
  EXPECT_GE(metrics().rx_event_rate_limiter_count, 2U);
  EXPECT_EQ(metrics().rx_fails, 0U);
}

TEST_F(NetLimitTest, FramesOutOfTheGuestWaitInTheRing) {
  build(limited({}, frames(3, 20)));
  for (int i = 0; i < 8; ++i) tx().chain().in(frame_of(60 + i)).push();
  tx().kick();
  EXPECT_EQ(link_->sent[0].size(), 3U);
  tx().kick();
  EXPECT_EQ(link_->sent[0].size(), 3U) << "a kick is no key";
  wait_until([&] { return link_->sent[0].size() == 8; });
  ASSERT_EQ(link_->sent[0].size(), 8U);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(link_->sent[0][i], frame_of(60 + i));
  EXPECT_EQ(tx().ring.take_used().size(), 8U);
  EXPECT_GE(metrics().tx_rate_limiter_throttled, 2U);
  EXPECT_GE(metrics().tx_rate_limiter_event_count, 2U);
}

TEST_F(NetLimitTest, BytesAreThoseOfTheFrame) {
  build(limited(bytes(1000, kFarAway), bytes(1000, kFarAway)));
  push_buffers(5);
  link_->arrive(frame_of(600));
  link_->arrive(frame_of(400));
  link_->arrive(frame_of(14));
  EXPECT_EQ(metrics().rx_packets_count, 2U);
  for (const std::size_t size : {600U, 400U, 14U}) tx().chain().in(frame_of(size)).push();
  tx().kick();
  EXPECT_EQ(link_->sent[0].size(), 2U);
}

TEST_F(NetLimitTest, AFrameThatTheLinkHadNoRoomForCostsOnce) {
  build(limited({}, frames(2, kFarAway)));
  link_->room = 0;
  tx().chain().in(frame_of(60)).push();
  tx().chain().in(frame_of(60)).push();
  tx().kick();
  link_->room = 10;
  link_->on_ready(0, {.receive = true, .send = true});
  EXPECT_EQ(link_->sent[0].size(), 2U);
}

TEST_F(NetLimitTest, NewLimitsHoldAtOnce) {
  build(limited(frames(1, kFarAway), frames(1, kFarAway)));
  push_buffers(5);
  for (int i = 0; i < 3; ++i) {
    link_->arrive(frame_of(60));
    tx().chain().in(frame_of(60)).push();
  }
  tx().kick();
  EXPECT_EQ(metrics().rx_packets_count, 1U);
  EXPECT_EQ(metrics().tx_packets_count, 1U);
  ASSERT_TRUE(net_->update_limits(frames(0, 0), {}));
  EXPECT_EQ(metrics().rx_packets_count, 3U);
  EXPECT_EQ(metrics().tx_packets_count, 1U);
  ASSERT_TRUE(net_->update_limits({}, frames(1, kFarAway)));
  EXPECT_EQ(metrics().tx_packets_count, 2U);
}

TEST_F(NetLimitTest, StopsWhileFramesWait) {
  build(limited(frames(1, kFarAway), frames(1, kFarAway)));
  push_buffers(5);
  for (int i = 0; i < 2; ++i) {
    link_->arrive(frame_of(60));
    tx().chain().in(frame_of(60)).push();
  }
  tx().kick();
  for (const std::uint16_t index : {0, 1}) {
    const auto stopped = net_->stop(index);
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped->in_flight(), 0U);
    EXPECT_EQ(stopped->forgotten(), 0U);
    EXPECT_EQ(stopped->save().next_avail, 1);
  }
}

TEST_F(NetLimitTest, ABucketGoesOnAsItWasSaved) {
  const NetConfig config = limited(frames(3, kFarAway), bytes(3000, kFarAway));
  build(config);
  push_buffers(5);
  for (int i = 0; i < 2; ++i) {
    link_->arrive(frame_of(60));
    tx().chain().in(frame_of(1000)).push();
  }
  tx().kick();
  drivers_.clear();
  auto restored = Net::restore(config, services_.get(), net_->save(), std::make_unique<FakeLink>());
  ASSERT_TRUE(restored);
  net_ = std::move(*restored);
  for (int i = 0; i < 2; ++i) tx().chain().in(frame_of(1000)).push();
  tx().kick();
  EXPECT_EQ(metrics().tx_packets_count, 1U);
  ASSERT_TRUE(net_->save().rx_rate_limiter.ops);
  EXPECT_FALSE(net_->save().rx_rate_limiter.bandwidth);
}

}  // namespace
}  // namespace mote::virtio::test
