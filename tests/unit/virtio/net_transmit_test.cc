// Frames out of the guest.
#include <gtest/gtest.h>

#include "virtio/net_rig.h"

namespace mote::virtio::test {
namespace {

class NetTransmitTest : public NetTest {
 protected:
  std::vector<std::string>& sent() { return link_->sent[0]; }
  // Kicks with one chain and expects it back.
  void send(ChainBuilder& chain) {
    const auto head = chain.push();
    tx().kick();
    EXPECT_EQ(tx().used(), (Used{head, 0}));
  }
  void send(ChainBuilder&& chain) { send(chain); }
};

TEST_F(NetTransmitTest, AFrameGoesOutAsTheDriverWroteIt) {
  build();
  const std::string frame = frame_of(100);
  send(tx().chain().in(frame));
  send(tx().chain().in(frame.substr(0, 12)).in(frame.substr(12)));
  ChainBuilder pieces = tx().chain();
  for (const char c : frame) pieces.in({&c, 1});
  send(pieces.indirect());
  EXPECT_EQ(sent(), std::vector(3, frame));
  EXPECT_EQ(metrics().tx_packets_count, 3U);
  EXPECT_EQ(metrics().tx_bytes_count, 336U);
  EXPECT_EQ(metrics().tx_queue_event_count, 3U);
  EXPECT_EQ(metrics().tx_fails, 0U);
}

TEST_F(NetTransmitTest, ABatchIsOneInterruptAndNoKickIsAskedForMeanwhile) {
  build();
  tx().ring.set_used_event(0);
  for (int i = 0; i < 50; ++i) tx().chain().in(frame_of(60 + i)).push();
  tx().kick();
  EXPECT_EQ(tx().ring.take_used().size(), 50U);
  EXPECT_EQ(tx().host.interrupts, 1);
  EXPECT_EQ(sent().size(), 50U);
  EXPECT_EQ(sent().back(), frame_of(109)) << "in order";
  EXPECT_EQ(metrics().tx_count, 1U);
  EXPECT_EQ(tx().ring.avail_event(), 50);
}

TEST_F(NetTransmitTest, FramesThatAreNoneAreCountedAndCompleted) {
  build();
  send(tx().chain().out(100));
  send(tx().chain().in("x"));
  send(tx().chain().in(std::string(kHeader, '\0')));
  send(tx().chain().in(frame_of(13)));
  send(tx().chain().in(frame_of(network::kMaxFrameSize - kHeader + 1)));
  EXPECT_TRUE(sent().empty());
  EXPECT_EQ(metrics().tx_malformed_frames, 5U);
  EXPECT_EQ(metrics().tx_fails, 5U);
  send(tx().chain().in(frame_of(14)));
  send(tx().chain().in(frame_of(network::kMaxFrameSize - kHeader)));
  EXPECT_EQ(sent().size(), 2U);
}

TEST_F(NetTransmitTest, AHugeChainIsRefusedWithoutBeingRead) {
  build();
  // 4 GiB, by naming the same memory over and over.
  const std::uint64_t table = tx().ring.allocate(std::uint64_t{4096} * 16, 16);
  for (std::uint16_t i = 0; i < 1000; ++i) {
    const auto flags = static_cast<std::uint16_t>(i + 1 < 1000 ? VRING_DESC_F_NEXT : 0);
    tx().ring.put_at(table, i, {0x100000, 4 << 20, flags, static_cast<std::uint16_t>(i + 1)});
  }
  tx().ring.put(0, {table, 1000 * 16, VRING_DESC_F_INDIRECT, 0});
  tx().ring.offer(0);
  tx().kick();
  EXPECT_EQ(tx().ring.used_index(), 1);
  EXPECT_EQ(metrics().tx_malformed_frames, 1U);
  EXPECT_TRUE(sent().empty());
}

TEST_F(NetTransmitTest, AThousandPartsAreOneFrame) {
  build();
  ChainBuilder chain = tx().chain();
  std::string whole;
  for (int i = 0; i < 1024; ++i) {
    const std::string piece(3, static_cast<char>('a' + i % 26));
    chain.in(piece);
    whole += piece;
  }
  send(chain.indirect());
  EXPECT_EQ(sent(), std::vector{whole});
  EXPECT_LE(link_->most_parts, 1024U);
}

TEST_F(NetTransmitTest, ALinkThatIsFullIsWaitedFor) {
  build();
  link_->room = 2;
  for (int i = 0; i < 5; ++i) tx().chain().in(frame_of(60 + i)).push();
  tx().kick();
  EXPECT_EQ(tx().ring.take_used().size(), 2U);
  // Kicks help nothing, and cost nothing.
  link_->room = 1;
  tx().chain().in(frame_of(65)).push();
  tx().kick();
  EXPECT_EQ(sent().size(), 2U);
  link_->room = 10;
  link_->on_ready(0, {.receive = false, .send = true});
  EXPECT_EQ(tx().ring.take_used().size(), 4U);
  ASSERT_EQ(sent().size(), 6U);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(sent()[i], frame_of(60 + i));
  EXPECT_EQ(metrics().tx_fails, 0U);
}

TEST_F(NetTransmitTest, StopLeavesUnsentFramesInTheRing) {
  build();
  link_->room = 1;
  for (int i = 0; i < 3; ++i) tx().chain().in(frame_of(60 + i)).push();
  tx().kick();
  EXPECT_EQ(tx().ring.take_used().size(), 1U);
  auto stopped = net_->stop(1);
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->in_flight(), 0U);
  EXPECT_EQ(stopped->forgotten(), 0U);
  EXPECT_EQ(stopped->save().next_avail, 1);
  link_->room = 10;
  link_->on_ready(0, {.receive = true, .send = true});
  EXPECT_EQ(sent().size(), 1U) << "while it is stopped, nothing moves";
  ASSERT_TRUE(net_->start(1, std::move(*stopped)));
  net_->kick(1);
  EXPECT_EQ(sent().size(), 3U);
}

TEST_F(NetTransmitTest, AFrameThatTheLinkRefusesIsMalformed) {
  build();
  link_->refuse_next = true;
  send(tx().chain().in(frame_of(60)));
  EXPECT_EQ(metrics().tx_malformed_frames, 1U);
  EXPECT_EQ(metrics().tap_write_fails, 0U);
  send(tx().chain().in(frame_of(60)));
  EXPECT_EQ(sent().size(), 1U);
}

TEST_F(NetTransmitTest, AFailureOfTheLinkDropsTheFrame) {
  build();
  link_->fail_next = true;
  send(tx().chain().in(frame_of(60)));
  EXPECT_EQ(metrics().tap_write_fails, 1U);
  EXPECT_EQ(metrics().tx_fails, 1U);
  EXPECT_TRUE(sent().empty());
  send(tx().chain().in(frame_of(60)));
  EXPECT_EQ(sent().size(), 1U);
}

TEST_F(NetTransmitTest, ALinkThatIsGoneTakesEverythingAndSendsNothing) {
  build();
  link_->gone = true;
  for (int i = 0; i < 10; ++i) send(tx().chain().in(frame_of(60)));
  EXPECT_EQ(metrics().tap_write_fails, 1U);
  EXPECT_EQ(metrics().event_fails, 1U);
  EXPECT_EQ(metrics().tx_fails, 10U);
}

TEST_F(NetTransmitTest, ForeignSourcesAreCountedAndPass) {
  build({.iface_id = "test", .host_dev_name = "tap", .guest_mac = "73:6f:75:72:63:65"});
  send(tx().chain().in(frame_of(60)));  // "source"
  EXPECT_EQ(metrics().tx_spoofed_mac_count, 0U);
  const std::string foreign = frame_of(60, "nobody");
  send(tx().chain().in(foreign.substr(0, 20)).in(foreign.substr(20)));
  EXPECT_EQ(metrics().tx_spoofed_mac_count, 1U);
  EXPECT_EQ(sent().size(), 2U);
  EXPECT_EQ(sent()[1], foreign);
}

TEST_F(NetTransmitTest, WithoutAnAddressNothingIsForeign) {
  build();
  send(tx().chain().in(frame_of(60, "nobody")));
  EXPECT_EQ(metrics().tx_spoofed_mac_count, 0U);
}

TEST_F(NetTransmitTest, ManyBytesTakeTurns) {
  build();
  TestDriver& driver = tx();
  for (int i = 0; i < 60; ++i) driver.chain().in(frame_of(60'000)).push();
  net_->kick(1);
  EXPECT_EQ(driver.host.agains, 1);
  EXPECT_EQ(sent().size(), 35U);
  EXPECT_EQ(driver.ring.take_used().size(), 35U);
  EXPECT_EQ(metrics().tx_remaining_reqs_count, 1U);
  net_->kick(1);
  EXPECT_EQ(sent().size(), 60U);
}

TEST_F(NetTransmitTest, ALyingRingStopsServingButLeavesWhatWasDone) {
  build();
  const auto good = tx().chain().in(frame_of(60)).push();
  tx().ring.offer(999);
  tx().kick();
  EXPECT_EQ(tx().used().head, good);
  EXPECT_EQ(tx().host.breaks, 1);
  tx().kick();
  EXPECT_EQ(tx().host.breaks, 1);
}

}  // namespace
}  // namespace mote::virtio::test
