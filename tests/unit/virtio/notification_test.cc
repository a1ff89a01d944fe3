// Who hears of what: kicks and interrupts, and how each side holds the other's off.
#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>

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

// A driver and a device on two threads. Each sleeps for ever unless the other wakes it, so a lost
// kick or interrupt is a timeout here.
class Stress : public ::testing::TestWithParam<std::uint64_t> {};

class SemaphoreHost : public QueueHost {
 public:
  SemaphoreHost(std::counting_semaphore<>& interrupt, std::counting_semaphore<>& kick)
      : interrupt_(interrupt), kick_(kick) {}
  void used(std::uint16_t /*index*/) override {
    ++interrupts;
    interrupt_.release();
  }
  void broken(std::uint16_t /*index*/, const Error& error) override {
    ADD_FAILURE() << error.text();
  }
  void again(std::uint16_t /*index*/) override { kick_.release(); }
  int interrupts = 0;

 private:
  std::counting_semaphore<>& interrupt_;
  std::counting_semaphore<>& kick_;
};

TEST_P(Stress, NoWakeUpIsLost) {
  constexpr int kChains = 60000;
  constexpr std::uint16_t kSize = 16;
  constexpr auto kPatience = std::chrono::seconds(30);
  const bool event_index = (GetParam() >> VIRTIO_RING_F_EVENT_IDX & 1) != 0;
  std::counting_semaphore<> kick(0);
  std::counting_semaphore<> interrupt(0);
  SemaphoreHost host(interrupt, kick);
  const memory::GuestMemory memory = make_memory();
  TestRing ring(memory, kSize, 0x10000, GetParam());
  const std::uint64_t buffer = ring.allocate(1);
  for (std::uint16_t i = 0; i < kSize; ++i) ring.put(i, {.address = buffer, .length = 1});
  auto queue =
      Queue::create({.memory = &memory, .host = &host, .max_size = kSize, .features = GetParam()},
                    ring.addresses());
  ASSERT_TRUE(queue);

  std::atomic<bool> over = false;
  int served = 0;
  int kicked = 0;
  std::thread device([&] {
    while (served < kChains && !over) {
      if (!kick.try_acquire_for(kPatience)) {
        ADD_FAILURE() << "no kick came after " << served << " chains";
        over = true;
        return;
      }
      serve(*queue, [&](Chain chain) {
        ++served;
        std::move(chain).complete();
      });
    }
  });

  int sent = 0;
  int received = 0;
  std::minstd_rand random(7);
  while (received < kChains && !over) {
    const int want = 1 + static_cast<int>(random() % kSize);
    for (int i = 0; i < want && sent < kChains && sent - received < kSize; ++i) {
      ring.offer(static_cast<std::uint16_t>(sent++ % kSize));
    }
    if (ring.kick_due()) {
      ++kicked;
      kick.release();
    }
    // Wait for the oldest, or for all: the driver says so, then looks again before it sleeps.
    const int until = random() % 2 == 0 ? received + 1 : sent;
    while (received < until && !over) {
      if (event_index) {
        ring.set_used_event(static_cast<std::uint16_t>(received));
      } else {
        ring.set_no_interrupt(false);
      }
      std::atomic_thread_fence(std::memory_order_seq_cst);
      int fresh = static_cast<int>(ring.take_used().size());
      if (fresh == 0) {
        if (!interrupt.try_acquire_for(kPatience)) {
          ADD_FAILURE() << "no interrupt came after " << received << " of " << sent << " chains";
          over = true;
          kick.release();
          break;
        }
        if (!event_index) ring.set_no_interrupt(true);
        fresh = static_cast<int>(ring.take_used().size());
      }
      received += fresh;
    }
  }
  over = over || received < kChains;
  device.join();
  EXPECT_EQ(served, kChains);
  EXPECT_EQ(received, kChains);
  RecordProperty("kicks", kicked);
  RecordProperty("interrupts", host.interrupts);
}

INSTANTIATE_TEST_SUITE_P(Rings, Stress, ::testing::Values(kVersion1, kRingFeatures));

}  // namespace
}  // namespace mote::virtio::test
