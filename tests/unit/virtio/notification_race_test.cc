// A driver and a device on two threads. Each sleeps for ever unless the other wakes it, so a lost
// kick or interrupt is a timeout here. The races are aimed at: one side polls, so that its stores
// meet the other's last look before it sleeps within nanoseconds, for a second each. A missing look
// shows here; a missing fence seldom does, and is for review.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <semaphore>
#include <thread>

#include "virtio/queue/serve.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

constexpr std::uint64_t kVersion1 = std::uint64_t{1} << VIRTIO_F_VERSION_1;
constexpr auto kPatience = std::chrono::seconds(20);

// What an eventfd is to its reader: signals that come before it looks are one.
class Doorbell {
 public:
  void ring() { count_.release(); }
  // False: it was not rung for a long time.
  bool wait() {
    if (!count_.try_acquire_for(kPatience)) return false;
    while (count_.try_acquire()) {
    }
    return true;
  }

 private:
  std::counting_semaphore<> count_{0};
};

class DoorbellHost : public QueueHost {
 public:
  DoorbellHost(Doorbell& interrupt, Doorbell& kick) : interrupt_(interrupt), kick_(kick) {}
  void used(std::uint16_t /*index*/) override { interrupt_.ring(); }
  void broken(std::uint16_t /*index*/, const Error& error) override {
    ADD_FAILURE() << error.text();
  }
  void again(std::uint16_t /*index*/) override { kick_.ring(); }

 private:
  Doorbell& interrupt_;
  Doorbell& kick_;
};

// Holds a thread up for a while, so that the two meet at every offset.
class Jitter {
 public:
  explicit Jitter(unsigned seed) : random_(seed) {}
  void operator()() {
    for (unsigned spin = random_() % 200; spin > 0; --spin) asm volatile("");
  }

 private:
  std::minstd_rand random_;
};

class NotificationRace : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  static constexpr std::uint16_t kSize = 16;
  static constexpr auto kDuration = std::chrono::seconds(1);

  NotificationRace() {
    const std::uint64_t buffer = ring_.allocate(1);
    for (std::uint16_t i = 0; i < kSize; ++i) ring_.put(i, {.address = buffer, .length = 1});
    auto made = Queue::create(
        {.memory = &memory_, .host = &host_, .max_size = kSize, .features = GetParam()},
        ring_.addresses());
    if (!made) throw std::runtime_error(made.error().text());
    queue_.emplace(std::move(*made));
  }
  void offer(int number) { ring_.offer(static_cast<std::uint16_t>(number % kSize)); }
  void kick_if_due() {
    if (ring_.kick_due()) kick_.ring();
  }
  // Asks for an interrupt with the next used element, as a driver does before it looks once more
  // and sleeps.
  void ask_for_interrupt(int received) {
    if ((GetParam() >> VIRTIO_RING_F_EVENT_IDX & 1) != 0) {
      ring_.set_used_event(static_cast<std::uint16_t>(received));
    } else {
      ring_.set_no_interrupt(false);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  int take() { return static_cast<int>(ring_.take_used().size()); }
  bool time_is_up() const { return std::chrono::steady_clock::now() > end_; }
  // The device's side, asleep between kicks, until it is told that all is over.
  void run_device(int& served) {
    while (!over_) {
      if (!kick_.wait()) {
        ADD_FAILURE() << "no kick came after " << served << " chains";
        over_ = true;
        interrupt_.ring();
      }
      serve(*queue_, [&](Chain chain) {
        ++served;
        std::move(chain).complete();
      });
    }
  }

  Doorbell kick_;
  Doorbell interrupt_;
  DoorbellHost host_{interrupt_, kick_};
  const memory::GuestMemory memory_ = make_memory();
  TestRing ring_{memory_, kSize, 0x10000, GetParam()};
  std::optional<Queue> queue_;
  std::atomic<bool> over_ = false;
  const std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + kDuration;
};

// The driver polls the used ring and pushes its next chain just when the device goes to sleep.
TEST_P(NotificationRace, NoKickIsLost) {
  int served = 0;
  std::thread device([&] { run_device(served); });
  Jitter jitter(1);
  int sent = 0;
  while (!time_is_up() && !over_) {
    jitter();
    offer(sent++);
    kick_if_due();
    for (unsigned spin = 0; take() == 0 && !over_; ++spin) {
      if (spin % 1024 == 1023) std::this_thread::yield();
    }
  }
  over_ = true;
  kick_.ring();
  device.join();
  EXPECT_EQ(served, sent);
  EXPECT_GT(sent, 0);
}

// The device polls the available ring and completes a chain just when the driver goes to sleep.
TEST_P(NotificationRace, NoInterruptIsLost) {
  std::thread device([&] {
    Jitter jitter(2);
    for (unsigned spin = 0; !over_; ++spin) {
      if (spin % 1024 == 1023) std::this_thread::yield();
      auto chain = queue_->next();
      if (!chain || !*chain) continue;
      jitter();
      std::move(**chain).complete();
      queue_->flush();
    }
  });
  Jitter jitter(3);
  int received = 0;
  while (!time_is_up() && !over_) {
    ring_.set_no_interrupt(true);
    offer(received);
    jitter();
    ask_for_interrupt(received);
    while (take() == 0) {
      if (!interrupt_.wait()) {
        ADD_FAILURE() << "no interrupt came after " << received << " chains";
        over_ = true;
        break;
      }
    }
    ++received;
  }
  over_ = true;
  device.join();
  EXPECT_GT(received, 0);
}

// Both sleep, with batches of all sizes under way.
TEST_P(NotificationRace, BothSidesSleep) {
  int served = 0;
  std::thread device([&] { run_device(served); });
  int sent = 0;
  int received = 0;
  std::minstd_rand random(7);
  while (!over_ && (!time_is_up() || received < sent)) {
    const int want = 1 + static_cast<int>(random() % kSize);
    for (int i = 0; i < want && !time_is_up() && sent - received < kSize; ++i) offer(sent++);
    kick_if_due();
    // Wait for the oldest, or for all.
    const int until = random() % 2 == 0 ? received + 1 : sent;
    while (received < until && !over_) {
      ask_for_interrupt(received);
      const int fresh = take();
      received += fresh;
      if (fresh > 0 || interrupt_.wait()) continue;
      ADD_FAILURE() << "no interrupt came after " << received << " of " << sent << " chains";
      over_ = true;
    }
  }
  over_ = true;
  kick_.ring();
  device.join();
  EXPECT_EQ(served, sent);
  EXPECT_EQ(received, sent);
}

INSTANTIATE_TEST_SUITE_P(Rings, NotificationRace, ::testing::Values(kVersion1, kRingFeatures));

}  // namespace
}  // namespace mote::virtio::test
