// Frames into the guest.
#include <gtest/gtest.h>

#include "virtio/net_rig.h"

namespace mote::virtio::test {
namespace {

class NetReceiveTest : public NetTest {
 protected:
  // A driver that merges nothing.
  TestDriver& plain_rx() { return queue(0, 0); }
  static constexpr std::size_t kBiggest = network::kMaxFrameSize - kHeader;
};

TEST_F(NetReceiveTest, AFrameGoesStraightIntoABuffer) {
  build();
  const auto head = rx().chain().out(2048).push();
  link_->arrive(frame_of(100));
  const Used used = rx().used();
  EXPECT_EQ(used, (Used{head, 112}));
  EXPECT_EQ(received(rx(), {used}), with_count(frame_of(100), 1));
  EXPECT_EQ(rx().host.interrupts, 1);
  EXPECT_EQ(metrics().rx_packets_count, 1U);
  EXPECT_EQ(metrics().rx_bytes_count, 112U);
  EXPECT_EQ(metrics().rx_count, 1U);
  EXPECT_EQ(metrics().rx_tap_event_count, 1U);
}

TEST_F(NetReceiveTest, FramesWaitInTheLinkUntilThereAreBuffers) {
  build();
  rx();
  for (int i = 0; i < 3; ++i) link_->arrive(frame_of(60 + i));
  EXPECT_EQ(link_->receives, 0) << "nobody looks at frames that have nowhere to go";
  EXPECT_EQ(metrics().no_rx_avail_buffer, 3U);
  for (int i = 0; i < 4; ++i) rx().chain().out(256).push();
  rx().kick();
  EXPECT_EQ(rx().ring.take_used().size(), 3U);
  EXPECT_EQ(metrics().rx_packets_count, 3U);
}

TEST_F(NetReceiveTest, WhereNoBuffersAreLeftAKickIsAskedFor) {
  build();
  const auto dry = [&] { return rx().ring.avail_event() == rx().ring.available_index(); };
  rx().chain().out(256).push();
  rx().chain().out(256).push();
  link_->arrive(frame_of(60));
  EXPECT_EQ(rx().used().length, 72U);
  EXPECT_FALSE(dry()) << "a buffer is left, and frames come with an event of their own";
  link_->arrive(frame_of(60));
  link_->arrive(frame_of(60));
  EXPECT_EQ(rx().used().length, 72U);
  EXPECT_TRUE(dry());
  EXPECT_EQ(link_->waiting[0].size(), 1U);
}

TEST_F(NetReceiveTest, ABatchIsOneInterrupt) {
  build();
  rx().ring.set_used_event(0);
  for (int i = 0; i < 30; ++i) rx().chain().out(256).push();
  for (int i = 0; i < 20; ++i) link_->waiting[0].push_back(frame_of(60));
  rx().kick();
  EXPECT_EQ(rx().ring.take_used().size(), 20U);
  EXPECT_EQ(rx().host.interrupts, 1);
}

TEST_F(NetReceiveTest, AFrameGoesOverAsManyBuffersAsItNeeds) {
  build();
  for (int i = 0; i < 60; ++i) rx().chain().out(1500).push();
  const std::string big = frame_of(kBiggest);
  link_->arrive(big);
  link_->arrive(frame_of(50));
  auto used = rx().ring.take_used();
  ASSERT_EQ(used.size(), 45U);
  const Used last = used.back();
  used.pop_back();
  EXPECT_EQ(received(rx(), used), with_count(big, 44));
  EXPECT_EQ(received(rx(), {last}), with_count(frame_of(50), 1));
  // Exactly full, and one byte more.
  link_->arrive(frame_of(3000 - kHeader));
  EXPECT_EQ(rx().ring.take_used().size(), 2U);
  link_->arrive(frame_of(3001 - kHeader));
  used = rx().ring.take_used();
  ASSERT_EQ(used.size(), 3U);
  EXPECT_EQ(used.back().length, 1U);
  EXPECT_EQ(metrics().rx_fails, 0U);
}

TEST_F(NetReceiveTest, TheHeaderMayBeSplitAnywhereInItsChain) {
  build();
  for (const bool indirect : {false, true}) {
    ChainBuilder chain = rx().chain();
    for (int i = 0; i < 12; ++i) chain.out(1);
    chain.out(0).out(3).out(1000);
    if (indirect) chain.indirect();
    chain.push();
    link_->arrive(frame_of(500));
    const Used used = rx().used();
    EXPECT_EQ(used.length, 512U);
    EXPECT_EQ(received(rx(), {used}), with_count(frame_of(500), 1));
  }
}

TEST_F(NetReceiveTest, AFrameWaitsForTheRestOfItsRoomAndIsNotLost) {
  build();
  rx().chain().out(100).push();
  rx().chain().out(100).push();
  link_->arrive(frame_of(1000));
  link_->waiting[0].push_back(frame_of(70));
  EXPECT_TRUE(rx().ring.take_used().empty());
  rx().chain().out(500).push();
  rx().kick();
  EXPECT_TRUE(rx().ring.take_used().empty()) << "still too little";
  EXPECT_EQ(link_->waiting[0].size(), 1U) << "no frame passes another";
  rx().chain().out(1500).push();
  rx().chain().out(1500).push();
  rx().kick();
  auto used = rx().ring.take_used();
  ASSERT_EQ(used.size(), 5U);
  const Used second = used.back();
  used.pop_back();
  EXPECT_EQ(received(rx(), used), with_count(frame_of(1000), 4));
  EXPECT_EQ(received(rx(), {second}), with_count(frame_of(70), 1));
  EXPECT_EQ(metrics().rx_fails, 0U);
}

TEST_F(NetReceiveTest, AFrameDoesNotWaitForEver) {
  build();
  const auto head = rx().chain().out(100).push();
  link_->arrive(frame_of(1000));
  link_->waiting[0].push_back(frame_of(60));
  while (metrics().rx_fails == 0) ASSERT_TRUE(services_.loop->run_once(10'000));
  EXPECT_EQ(metrics().rx_fails, 1U);
  EXPECT_EQ(rx().used(), (Used{head, 72})) << "the next one fits";
}

TEST_F(NetReceiveTest, AFrameThatHasGoneOnIsNotTakenForTheOneThatWaits) {
  build();
  rx().chain().out(100).push();
  link_->arrive(frame_of(1000));
  rx().chain().out(1500).push();
  rx().kick();
  EXPECT_EQ(rx().ring.take_used().size(), 2U);
  rx().chain().out(100).push();
  link_->arrive(frame_of(200));
  // The timer that was set for the first one ends.
  ASSERT_TRUE(services_.loop->run_once(10'000));
  EXPECT_EQ(metrics().rx_fails, 0U);
  rx().chain().out(1500).push();
  rx().kick();
  EXPECT_EQ(rx().ring.take_used().size(), 2U);
}

TEST_F(NetReceiveTest, WithoutMergingAFrameThatDoesNotFitIsDropped) {
  build();
  const auto head = plain_rx().chain().out(kHeader + 100).push();
  plain_rx().chain().out(2000).push();
  link_->arrive(frame_of(101));
  EXPECT_TRUE(plain_rx().ring.take_used().empty());
  EXPECT_EQ(metrics().rx_fails, 1U);
  link_->arrive(frame_of(100));
  const Used used = plain_rx().used();
  EXPECT_EQ(used, (Used{head, 112}));
  EXPECT_EQ(received(plain_rx(), {used}), with_count(frame_of(100), 1));
}

TEST_F(NetReceiveTest, WithoutMergingTheBiggestFrameFitsItsBuffer) {
  build();
  plain_rx().chain().out(network::kMaxFrameSize).push();
  link_->arrive(frame_of(kBiggest));
  EXPECT_EQ(plain_rx().used().length, network::kMaxFrameSize);
}

TEST_F(NetReceiveTest, BuffersThatHoldNoHeaderComeBackEmpty) {
  build();
  std::vector<Used> expected;
  expected.push_back({rx().chain().out(11).push(), 0});
  expected.push_back({rx().chain().in("nothing to write here").push(), 0});
  expected.push_back({rx().chain().out(5).out(6).indirect().push(), 0});
  expected.push_back({rx().chain().in("ignored").out(72).push(), 72});
  link_->arrive(frame_of(60));
  EXPECT_EQ(rx().ring.take_used(), expected);
  EXPECT_EQ(metrics().rx_fails, 3U);
}

TEST_F(NetReceiveTest, ThousandsOfPartsAreTakenInBounds) {
  build();
  // 200 chains of up to 100 bytes, each in 100 buffers.
  for (int i = 0; i < 200; ++i) {
    ChainBuilder chain = rx().chain();
    for (int part = 0; part < 100; ++part) chain.out(1);
    chain.indirect().push();
  }
  link_->arrive(frame_of(488));
  EXPECT_EQ(rx().ring.take_used().size(), 5U);
  EXPECT_LE(link_->most_parts, 1024U);
  // More than can be lent at once: it is not to be had, whatever comes.
  link_->arrive(frame_of(3000));
  EXPECT_EQ(metrics().rx_fails, 1U);
  link_->arrive(frame_of(60));
  EXPECT_EQ(rx().ring.take_used().size(), 1U);
  EXPECT_LE(link_->most_parts, 1024U);
}

TEST_F(NetReceiveTest, AChainOfMorePartsThanASystemCallTakesComesBackEmpty) {
  build();
  ChainBuilder chain = rx().chain();
  for (int part = 0; part < 1024; ++part) chain.out(100);
  const auto head = chain.indirect().push();
  rx().kick();
  EXPECT_EQ(rx().used(), (Used{head, 0}));
  EXPECT_EQ(metrics().rx_fails, 1U);
}

TEST_F(NetReceiveTest, ADriverThatNeverPausesLeavesTheThreadToOthers) {
  build();
  for (int i = 0; i < 256; ++i) {
    rx().chain().out(100).push();
    link_->waiting[0].push_back(frame_of(60));
  }
  link_->waiting[0].push_back(frame_of(60));
  net_->kick(0);
  EXPECT_EQ(rx().host.agains, 1);
  EXPECT_EQ(rx().ring.take_used().size(), 256U) << "those that were taken are shown";
}

TEST_F(NetReceiveTest, StopLeavesUnusedBuffersInTheRing) {
  build();
  for (int i = 0; i < 50; ++i) rx().chain().out(1500).push();
  link_->arrive(frame_of(60));
  EXPECT_EQ(rx().ring.take_used().size(), 1U);
  auto stopped = net_->stop(0);
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->in_flight(), 0U);
  EXPECT_EQ(stopped->forgotten(), 0U);
  EXPECT_EQ(stopped->save().next_avail, 1);
  EXPECT_EQ(stopped->save().next_used, 1);
  EXPECT_TRUE(rx().ring.take_used().empty());
  link_->arrive(frame_of(60));
  EXPECT_FALSE(net_->stop(0));
  ASSERT_TRUE(net_->start(0, std::move(*stopped)));
  net_->kick(0);
  EXPECT_EQ(rx().ring.take_used().size(), 1U) << "the frame that came meanwhile";
}

TEST_F(NetReceiveTest, StopGivesUpAFrameThatWaits) {
  build();
  rx().chain().out(100).push();
  link_->arrive(frame_of(1000));
  const auto stopped = net_->stop(0);
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->in_flight(), 0U);
  EXPECT_EQ(stopped->save().next_avail, 0);
  EXPECT_EQ(metrics().rx_fails, 1U);
}

TEST_F(NetReceiveTest, AFailureOfTheLinkIsCountedAndTheNextFrameComes) {
  build();
  rx().chain().out(100).push();
  link_->fail_next = true;
  link_->arrive(frame_of(60));
  EXPECT_EQ(metrics().tap_read_fails, 1U);
  EXPECT_TRUE(rx().ring.take_used().empty());
  link_->arrive(frame_of(61));
  EXPECT_EQ(rx().used().length, 72U);
}

TEST_F(NetReceiveTest, ALinkThatIsGoneIsLeftAlone) {
  build();
  rx().chain().out(100).push();
  link_->gone = true;
  for (int i = 0; i < 5; ++i) link_->arrive(frame_of(60));
  for (int i = 0; i < 5; ++i) rx().kick();
  EXPECT_EQ(metrics().tap_read_fails, 1U);
  EXPECT_EQ(metrics().event_fails, 1U);
  EXPECT_EQ(link_->receives, 1);
  EXPECT_TRUE(net_->stop(0));
}

TEST_F(NetReceiveTest, AFrameWithoutAWholeHeaderIsNone) {
  build();
  rx().chain().out(100).push();
  link_->arrive(std::string(11, 'x'));
  link_->arrive(std::string(network::kMaxFrameSize + 1, 'x'));
  EXPECT_EQ(metrics().tap_read_fails, 2U);
  EXPECT_TRUE(rx().ring.take_used().empty());
  link_->arrive(frame_of(60));
  EXPECT_EQ(rx().used().length, 72U);
}

TEST_F(NetReceiveTest, ALyingRingTakesNothingMore) {
  build();
  rx().chain().out(100).push();
  rx().ring.offer(999);
  link_->arrive(frame_of(60));
  EXPECT_EQ(rx().host.breaks, 1);
  EXPECT_TRUE(rx().ring.take_used().empty());
  link_->arrive(frame_of(60));
  rx().kick();
  EXPECT_EQ(rx().host.breaks, 1);
  const auto stopped = net_->stop(0);
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->in_flight(), 0U);
}

// Whatever sizes meet, what goes in comes out, in order and whole.
TEST_F(NetReceiveTest, RandomFramesInRandomBuffers) {
  build();
  std::minstd_rand random(7);
  std::deque<std::string> expected;
  std::string frame;
  int merged = 0;
  for (int round = 0; round < 4000; ++round) {
    if (random() % 2 == 0) {
      ChainBuilder chain = rx().chain();
      chain.out(12 + random() % 50);
      for (std::size_t i = random() % 4; i > 0; --i) chain.out(random() % 900);
      if (random() % 3 == 0) chain.indirect();
      chain.push();
      if (random() % 4 == 0) net_->kick(0);
    } else if (expected.size() < 20) {
      expected.push_back(frame_of(14 + random() % 3000));
      link_->arrive(expected.back());
    }
    const auto all = rx().ring.take_used();
    for (const Used& used : all) {
      if (merged == 0) {
        frame = received(rx(), {used});
        merged = static_cast<unsigned char>(frame[10]);
        ASSERT_EQ(frame[11], '\0');
        ASSERT_GT(merged, 0);
        frame[10] = '\0';
      } else {
        frame += received(rx(), {used});
      }
      if (--merged > 0) continue;
      ASSERT_EQ(frame, expected.front()) << round;
      expected.pop_front();
    }
    ASSERT_EQ(merged, 0) << "all of a frame is shown at once";
    if (!all.empty() && net_->metrics().rx_fails == 0 && rx().ring.available_index() % 64 == 0) {
      EXPECT_TRUE(rx().ring.gaps_intact());
    }
  }
  EXPECT_GT(metrics().rx_packets_count, 400U);
  EXPECT_EQ(metrics().rx_fails, 0U);
}

}  // namespace
}  // namespace mote::virtio::test
