// When the driver hears of frames: in a long run, and of both directions at once.
#include <gtest/gtest.h>

#include "virtio/net_rig.h"

namespace mote::virtio::test {
namespace {

class NetPaceTest : public NetTest {
 protected:
  void give_buffers(int count) {
    for (int i = 0; i < count; ++i) rx().chain().out(256).push();
  }
  void let_wait(int frames) {
    for (int i = 0; i < frames; ++i) link_->waiting[0].push_back(frame_of(60));
  }
  // Sends a frame while one that nobody has told of waits to come in.
  void send_and_be_answered(bool shared) {
    build();
    rx().host.shared = tx().host.shared = shared;
    give_buffers(2);
    let_wait(1);
    tx().chain().in(frame_of(60)).push();
    tx().kick();
    EXPECT_EQ(tx().used().length, 0U);
    EXPECT_EQ(rx().used().length, 72U);
    EXPECT_EQ(rx().host.interrupts, 1);
  }
};

TEST_F(NetPaceTest, ADriverThatIsThroughEachTimeIsInterruptedEverMoreSeldom) {
  build();
  std::vector<std::size_t> batches;
  bool waits = true;
  std::uint16_t taken = 0;
  rx().ring.set_used_event(0);
  rx().host.on_used = [&] {
    batches.push_back(rx().ring.take_used().size());
    taken = static_cast<std::uint16_t>(taken + batches.back());
    if (waits) rx().ring.set_used_event(taken);
  };
  const auto run = [&](int frames) {
    batches.clear();
    give_buffers(frames);
    let_wait(frames);
    rx().kick();
    return std::exchange(batches, {});
  };
  EXPECT_EQ(run(250), (std::vector<std::size_t>{32, 64, 128, 26}));
  EXPECT_EQ(run(250), (std::vector<std::size_t>{128, 122}))
      << "it is known by now, and has half of its buffers back before the others are filled";
  // At work from its first interrupt on, it is found so once, and then heard sooner again.
  waits = false;
  EXPECT_EQ(run(255), (std::vector<std::size_t>{128}));
  for (int i = 0; i < 2; ++i) {
    taken = static_cast<std::uint16_t>(taken + rx().ring.take_used().size());
    EXPECT_EQ(run(256), std::vector<std::size_t>());
  }
  taken = static_cast<std::uint16_t>(taken + rx().ring.take_used().size());
  rx().ring.set_used_event(taken);
  waits = true;
  EXPECT_EQ(run(40), (std::vector<std::size_t>{32, 8}));
}

TEST_F(NetPaceTest, ADriverThatIsAtWorkSeesFramesWithoutInterrupts) {
  build();
  give_buffers(256);
  let_wait(250);
  rx().ring.set_used_event(0);
  std::size_t seen = 0;
  rx().host.on_used = [&] { seen = rx().ring.take_used().size(); };
  rx().kick();
  EXPECT_EQ(rx().host.interrupts, 1);
  EXPECT_EQ(seen, 32U) << "it began with the first";
  EXPECT_EQ(rx().ring.take_used().size(), 218U);
}

TEST_F(NetPaceTest, LongFramesAreShownSooner) {
  build();
  for (int i = 0; i < 256; ++i) rx().chain().out(4096).push();
  for (int i = 0; i < 4; ++i) link_->waiting[0].push_back(frame_of(40'000));
  rx().ring.set_used_event(0);
  std::size_t seen = 0;
  rx().host.on_used = [&] { seen = rx().ring.take_used().size(); };
  rx().kick();
  EXPECT_EQ(seen, 20U) << "the buffers of two frames";
}

TEST_F(NetPaceTest, AnAnswerThatIsThereIsTakenWithWhatIsSent) { send_and_be_answered(false); }

TEST_F(NetPaceTest, WhereOneInterruptTellsOfAllQueuesThereIsOne) {
  send_and_be_answered(true);
  EXPECT_EQ(tx().host.interrupts, 0);
  // Where nothing came in, what was sent has its own.
  tx().ring.set_used_event(1);
  tx().chain().in(frame_of(60)).push();
  tx().kick();
  EXPECT_EQ(tx().host.interrupts, 1);
  EXPECT_EQ(rx().host.interrupts, 1);
}

TEST_F(NetPaceTest, WhereEachQueueHasItsInterruptBothAreTold) {
  send_and_be_answered(false);
  EXPECT_EQ(tx().host.interrupts, 1);
}

TEST_F(NetPaceTest, ADriverThatReceivesNothingIsNotLookedAfter) {
  build();
  rx();
  let_wait(1);
  tx().chain().in(frame_of(60)).push();
  tx().kick();
  EXPECT_EQ(link_->receives, 0);
  EXPECT_EQ(metrics().no_rx_avail_buffer, 0U);
  EXPECT_EQ(tx().host.interrupts, 1);
}

}  // namespace
}  // namespace mote::virtio::test
