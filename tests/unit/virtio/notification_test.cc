// Who hears of what: kicks and interrupts, and how each side holds the other's off.
#include <gtest/gtest.h>

#include "virtio/queue/serve.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

constexpr std::uint64_t kVersion1 = std::uint64_t{1} << VIRTIO_F_VERSION_1;

struct Rig {
  explicit Rig(std::uint64_t features, std::uint16_t start = 0, std::uint16_t size = 8)
      : memory(make_memory()), ring(memory, size, 0x10000, features) {
    ring.start_at(start);
    auto made =
        Queue::restore({.memory = &memory, .host = &host, .max_size = size, .features = features},
                       ring.addresses(), {.next_avail = start, .next_used = start});
    if (!made) throw std::runtime_error(made.error().text());
    queue.emplace(std::move(*made));
  }
  // Pushes and completes `count` chains, then flushes.
  void batch(int count) {
    for (int i = 0; i < count; ++i) ring.chain().in("x").push();
    for (int i = 0; i < count; ++i) {
      auto chain = queue->next();
      if (!chain || !*chain) throw std::runtime_error("a pushed chain did not arrive");
      std::move(**chain).complete();
    }
    queue->flush();
    ring.take_used();
  }

  memory::GuestMemory memory;
  FakeHost host;
  TestRing ring;
  std::optional<Queue> queue;
};

TEST(Interrupts, WithoutEventIndexFollowTheFlag) {
  Rig rig(kVersion1);
  rig.batch(3);
  EXPECT_EQ(rig.host.interrupts, 1) << "once a batch";
  rig.ring.set_no_interrupt(true);
  rig.batch(2);
  EXPECT_EQ(rig.host.interrupts, 1);
  rig.ring.set_no_interrupt(false);
  rig.batch(1);
  EXPECT_EQ(rig.host.interrupts, 2);
}

TEST(Interrupts, AFlushOfNothingIsSilent) {
  Rig rig(kVersion1);
  rig.queue->flush();
  EXPECT_FALSE(rig.queue->publish());
  EXPECT_EQ(rig.host.interrupts, 0);
}

TEST(Interrupts, WithEventIndexTheFlagMeansNothing) {
  Rig rig(kRingFeatures);
  rig.ring.set_no_interrupt(true);
  rig.ring.set_used_event(0);
  rig.batch(1);
  EXPECT_EQ(rig.host.interrupts, 1);
}

// From each of these starting points on, the index wraps at another moment.
class EventIndex : public ::testing::TestWithParam<std::uint16_t> {};

TEST_P(EventIndex, InterruptsOnceWhenTheEventIsPassed) {
  Rig rig(kRingFeatures, GetParam());
  auto at = GetParam();
  rig.ring.set_used_event(at + 4);  // after the fifth from here
  rig.batch(2);
  rig.batch(2);
  EXPECT_EQ(rig.host.interrupts, 0);
  rig.batch(1);
  EXPECT_EQ(rig.host.interrupts, 1);
  rig.batch(3);
  EXPECT_EQ(rig.host.interrupts, 1) << "the driver has not asked again";
  at += 8;
  rig.ring.set_used_event(at + 1);
  rig.batch(5);
  EXPECT_EQ(rig.host.interrupts, 2) << "passed in the middle of a batch";
  at += 5;
  rig.ring.set_used_event(at - 1);
  rig.batch(8);
  EXPECT_EQ(rig.host.interrupts, 2) << "an event that lies behind is not met again";
}

TEST_P(EventIndex, WhatWasShownInPartsIsToldAsAWhole) {
  Rig rig(kRingFeatures, GetParam());
  Queue& queue = *rig.queue;
  const auto show = [&](int count) {
    for (int i = 0; i < count; ++i) {
      rig.ring.chain().in("x").push();
      std::move(**queue.next()).complete();
    }
    queue.publish();
    rig.ring.take_used();
  };
  rig.ring.set_used_event(GetParam() + 1);  // in the first part
  show(2);
  show(2);
  EXPECT_EQ(rig.host.interrupts, 0);
  EXPECT_TRUE(queue.tell());
  EXPECT_EQ(rig.host.interrupts, 1);
  EXPECT_FALSE(queue.tell()) << "there is nothing new";
  show(2);
  EXPECT_FALSE(queue.tell()) << "the driver has not asked again";
  rig.ring.set_used_event(GetParam() + 6);
  show(1);
  EXPECT_TRUE(queue.tell(true)) << "an interrupt of another queue is not one of this";
  EXPECT_EQ(rig.host.interrupts, 2);
  rig.host.shared = true;
  rig.ring.set_used_event(GetParam() + 7);
  show(1);
  EXPECT_FALSE(queue.tell(true));
  EXPECT_FALSE(queue.tell()) << "the driver has heard of it";
  EXPECT_EQ(rig.host.interrupts, 2);
}

TEST_P(EventIndex, KicksAreAskedForAtTheEndOfABatch) {
  Rig rig(kRingFeatures, GetParam());
  Queue& queue = *rig.queue;
  const auto serve_all = [&] { serve(queue, [](Chain chain) { std::move(chain).complete(); }); };
  serve_all();
  EXPECT_EQ(rig.ring.avail_event(), GetParam());
  rig.ring.chain().in("x").push();
  EXPECT_TRUE(rig.ring.kick_due());
  rig.ring.chain().in("y").push();
  EXPECT_FALSE(rig.ring.kick_due()) << "one kick is under way";
  serve_all();
  rig.ring.take_used();
  EXPECT_EQ(rig.ring.avail_event(), static_cast<std::uint16_t>(GetParam() + 2));
  rig.ring.chain().in("z").push();
  EXPECT_TRUE(rig.ring.kick_due());
}

INSTANTIATE_TEST_SUITE_P(Starts, EventIndex,
                         ::testing::Values(0, 1, 32767, 65528, 65531, 65532, 65534, 65535));

TEST(Kicks, WithoutEventIndexFollowTheFlag) {
  Rig rig(kVersion1);
  rig.queue->disable_notifications();
  rig.ring.chain().in("x").push();
  EXPECT_FALSE(rig.ring.kick_due());
  EXPECT_TRUE(rig.queue->enable_notifications()) << "one came in while they were off";
  auto chain = rig.queue->next();
  ASSERT_TRUE(chain && *chain);
  EXPECT_FALSE(rig.queue->enable_notifications());
  rig.ring.chain().in("y").push();
  EXPECT_TRUE(rig.ring.kick_due());
}

}  // namespace
}  // namespace mote::virtio::test
