// The gate of rate limits, over a clock that the test turns.
#include "virtio/rate_limiter.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "base/json_describe.h"

namespace mote::virtio {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1000 * kMs;

struct FakeTime {
  std::uint64_t now = 1234;
  std::optional<std::uint64_t> due_at;
  std::uint64_t set = 0;
  std::function<void()> due;
  void pass(std::uint64_t duration) {
    const std::uint64_t end = now + duration;
    while (due_at && *due_at <= end) {
      now = *due_at;
      due_at.reset();
      due();
    }
    now = end;
  }
};

class FakeAlarm final : public Alarm {
 public:
  explicit FakeAlarm(FakeTime& time) : time_(time) {}
  std::uint64_t now() const override { return time_.now; }
  void set(std::uint64_t delay) override {
    ++time_.set;
    time_.due_at = time_.now + delay;
  }

 private:
  FakeTime& time_;
};

RateLimiter::AlarmMaker alarm_of(FakeTime& time) {
  return [&time](std::function<void()> due) -> Result<std::unique_ptr<Alarm>> {
    time.due = std::move(due);
    return std::make_unique<FakeAlarm>(time);
  };
}

// A device with more to do than it may: it sends requests of `size` for as long as they are let
// through.
struct GreedyDevice {
  std::function<std::uint64_t()> size;
  FakeTime time;
  RateLimiter limiter{alarm_of(time), [this] { serve(); }};
  std::uint64_t bytes = 0;
  std::uint64_t requests = 0;
  std::uint64_t next = 0;

  void serve() {
    while (true) {
      if (next == 0) next = size();
      if (!limiter.admit(next)) return;
      bytes += next;
      ++requests;
      next = 0;
    }
  }
  void run(std::uint64_t duration) {
    serve();
    time.pass(duration);
  }
};

std::function<std::uint64_t()> always(std::uint64_t size) {
  return [size] { return size; };
}

TEST(RateLimiter, WithoutLimitsLetsEverythingThroughAndSetsNoAlarm) {
  FakeTime time;
  RateLimiter limiter(alarm_of(time), [] { FAIL(); });
  EXPECT_TRUE(limiter.update({}));
  EXPECT_TRUE(limiter.admit(UINT64_MAX));
  EXPECT_FALSE(time.due) << "no alarm is made";
  EXPECT_TRUE(limiter.update({.bandwidth = TokenBucketConfig{.size = 0, .refill_time = 7},
                              .ops = TokenBucketConfig{.size = 7, .refill_time = 0}}));
  EXPECT_TRUE(limiter.admit(UINT64_MAX, UINT64_MAX));
  EXPECT_EQ(time.set, 0U);
  EXPECT_FALSE(limiter.save().bandwidth);
  EXPECT_FALSE(limiter.save().ops);
}

// 10 s of small, large and mixed requests, within 5% of the rate: what was there at the start comes
// on top.
TEST(RateLimiter, IsExactOverTenSeconds) {
  std::minstd_rand random(3);
  struct Load {
    std::uint64_t size;    // of the bucket
    std::uint64_t refill;  // ms
    std::function<std::uint64_t()> request;
  };
  for (const Load& load :
       {Load{1 << 20, 100, always(512)}, Load{1 << 20, 100, always(128 << 10)},
        Load{1 << 20, 1000, always(4096)}, Load{65536, 100, always(65536)},
        Load{65536, 100, always(256 << 10)}, Load{4096, 1, always(4096)},
        Load{4096, 1, always(512)}, Load{100'003, 77, [&random] { return 1 + random() % 300'000; }},
        Load{1 << 20, 2500, always(1)}}) {
    GreedyDevice device{.size = load.request};
    ASSERT_TRUE(device.limiter.update(
        {.bandwidth = TokenBucketConfig{.size = load.size, .refill_time = load.refill},
         .ops = {}}));
    device.run(10 * kSecond);
    const double allowed =
        static_cast<double>(load.size) * (1.0 + 10'000.0 / static_cast<double>(load.refill));
    const double done = static_cast<double>(device.bytes);
    EXPECT_GE(done, 0.95 * allowed) << load.size << " " << load.refill;
    EXPECT_LE(done, 1.05 * allowed) << load.size << " " << load.refill;
    EXPECT_LE(device.time.set, 10'001U) << "at most one alarm a ms, with the smallest buckets";
    if (load.refill >= 100) EXPECT_LE(device.time.set, 2001U) << "one in kLeastWait";
  }
}

TEST(RateLimiter, HoldsRequestsToTheirNumber) {
  GreedyDevice device{.size = always(1 << 20)};
  ASSERT_TRUE(device.limiter.update(
      {.bandwidth = {}, .ops = TokenBucketConfig{.size = 100, .refill_time = 1000}}));
  device.run(10 * kSecond);
  EXPECT_NEAR(static_cast<double>(device.requests), 1100, 2);
}

TEST(RateLimiter, ObeysTheStricterOfBothBuckets) {
  for (const bool bytes_are_stricter : {false, true}) {
    GreedyDevice device{.size = always(1000)};
    ASSERT_TRUE(device.limiter.update(
        {.bandwidth = TokenBucketConfig{.size = bytes_are_stricter ? 10'000U : 1'000'000U,
                                        .refill_time = 100},
         .ops =
             TokenBucketConfig{.size = bytes_are_stricter ? 10'000U : 10U, .refill_time = 100}}));
    device.run(10 * kSecond);
    EXPECT_NEAR(static_cast<double>(device.requests), 1010, 2);
  }
}

TEST(RateLimiter, TakesFromBothBucketsOrFromNone) {
  FakeTime time;
  RateLimiter limiter(alarm_of(time), [] {});
  ASSERT_TRUE(limiter.update({.bandwidth = TokenBucketConfig{.size = 100, .refill_time = 1000},
                              .ops = TokenBucketConfig{.size = 2, .refill_time = 1000}}));
  EXPECT_TRUE(limiter.admit(60));
  EXPECT_FALSE(limiter.admit(60)) << "too many bytes";
  time.pass(kSecond);  // both are full again
  EXPECT_TRUE(limiter.admit(1));
  EXPECT_TRUE(limiter.admit(1));
  EXPECT_FALSE(limiter.admit(1)) << "too many requests";
  time.pass(500 * kMs);  // one request more
  EXPECT_TRUE(limiter.admit(98)) << "the refused one took no bytes";
}

TEST(RateLimiter, BurstsOnce) {
  GreedyDevice device{.size = always(1000)};
  ASSERT_TRUE(device.limiter.update(
      {.bandwidth =
           TokenBucketConfig{.size = 10'000, .one_time_burst = 500'000, .refill_time = 100},
       .ops = {}}));
  device.serve();
  EXPECT_EQ(device.bytes, 510'000U);
  device.run(10 * kSecond);
  EXPECT_NEAR(static_cast<double>(device.bytes), 510'000 + 1'000'000, 20'000);
}

TEST(RateLimiter, IsReadyWhenTheRequestFitsAndNotBefore) {
  FakeTime time;
  int ready = 0;
  RateLimiter limiter(alarm_of(time), [&] { ++ready; });
  ASSERT_TRUE(limiter.update(
      {.bandwidth = TokenBucketConfig{.size = 1000, .refill_time = 1000}, .ops = {}}));
  EXPECT_TRUE(limiter.admit(1000));
  EXPECT_FALSE(limiter.admit(300));
  EXPECT_EQ(*time.due_at, time.now + 300 * kMs);
  // A driver that goes on kicking sets no other alarm.
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(limiter.admit(1));
  EXPECT_EQ(time.set, 1U);
  time.pass(299 * kMs);
  EXPECT_EQ(ready, 0);
  time.pass(kMs);
  EXPECT_EQ(ready, 1);
  EXPECT_TRUE(limiter.admit(300));
  // One more byte is there in 1 ms; the alarm leaves time for some more.
  EXPECT_FALSE(limiter.admit(1));
  EXPECT_EQ(*time.due_at, time.now + RateLimiter::kLeastWait);
}

TEST(RateLimiter, TakesARefund) {
  FakeTime time;
  RateLimiter limiter(alarm_of(time), [] {});
  ASSERT_TRUE(limiter.update({.bandwidth = TokenBucketConfig{.size = 100, .refill_time = 1000},
                              .ops = TokenBucketConfig{.size = 1, .refill_time = 1000}}));
  EXPECT_TRUE(limiter.admit(100));
  limiter.refund(100);
  EXPECT_TRUE(limiter.admit(100));
  EXPECT_FALSE(limiter.admit(1));
}

TEST(RateLimiter, ChangesWhileRequestsWait) {
  FakeTime time;
  int ready = 0;
  RateLimiter limiter(alarm_of(time), [&] { ++ready; });
  ASSERT_TRUE(limiter.update({.bandwidth = TokenBucketConfig{.size = 10, .refill_time = 100'000},
                              .ops = TokenBucketConfig{.size = 5, .refill_time = 100'000}}));
  EXPECT_TRUE(limiter.admit(10));
  EXPECT_FALSE(limiter.admit(10));
  // A bucket that is not named stays, one that is is replaced by a full one.
  ASSERT_TRUE(limiter.update(
      {.bandwidth = TokenBucketConfig{.size = 40, .refill_time = 100'000}, .ops = {}}));
  EXPECT_EQ(ready, 1);
  EXPECT_TRUE(limiter.admit(40, 4));
  EXPECT_FALSE(limiter.admit(0, 1)) << "5 requests have passed";
  ASSERT_TRUE(limiter.update({.bandwidth = {}, .ops = TokenBucketConfig{.size = 0}}));
  EXPECT_EQ(ready, 2);
  EXPECT_TRUE(limiter.admit(0, 1000));
  EXPECT_FALSE(limiter.admit(1));
  ASSERT_TRUE(limiter.update({.bandwidth = TokenBucketConfig{.refill_time = 5}, .ops = {}}));
  EXPECT_EQ(ready, 3);
  EXPECT_TRUE(limiter.admit(UINT64_MAX, UINT64_MAX));
  // The alarm that was set before means nothing any more.
  time.pass(1'000 * kSecond);
  EXPECT_EQ(ready, 3);
}

TEST(RateLimiter, GoesOnInARestoredMachine) {
  FakeTime time;
  RateLimiter first(alarm_of(time), [] {});
  ASSERT_TRUE(first.update(
      {.bandwidth = TokenBucketConfig{.size = 100, .one_time_burst = 50, .refill_time = 1000},
       .ops = {}}));
  EXPECT_TRUE(first.admit(20));
  EXPECT_TRUE(first.admit(120));
  const std::string text = json::write(first.save());
  const auto state = json::read<RateLimiterState>(text);
  ASSERT_TRUE(state) << state.error().text();

  FakeTime other{.now = 99 * kSecond, .due_at = {}, .set = 0, .due = {}};
  RateLimiter second(alarm_of(other), [] {});
  ASSERT_TRUE(second.restore(*state));
  EXPECT_FALSE(second.save().ops);
  EXPECT_TRUE(second.admit(10));
  EXPECT_FALSE(second.admit(1)) << "140 of 150 had passed";
  other.pass(10 * kMs);
  EXPECT_TRUE(second.admit(1));

  // A state without buckets is one of no limits, whatever was set before.
  ASSERT_TRUE(second.restore({}));
  EXPECT_TRUE(second.admit(UINT64_MAX));
}

TEST(RateLimiter, SaysWhenThereCanBeNoAlarm) {
  RateLimiter limiter(
      [](const std::function<void()>&) -> Result<std::unique_ptr<Alarm>> {
        return fail(ErrorKind::kIo, "no descriptors");
      },
      [] {});
  EXPECT_TRUE(limiter.update({}));
  EXPECT_FALSE(
      limiter.update({.bandwidth = {}, .ops = TokenBucketConfig{.size = 1, .refill_time = 1}}));
  EXPECT_TRUE(limiter.admit(1)) << "as it was before";
}

TEST(RateLimiter, WaitsOnARealLoop) {
  auto loop = std::move(*EventLoop::create());
  int ready = 0;
  RateLimiter limiter(*loop, [&] { ++ready; });
  ASSERT_TRUE(
      limiter.update({.bandwidth = {}, .ops = TokenBucketConfig{.size = 1, .refill_time = 20}}));
  EXPECT_TRUE(limiter.admit(0));
  EXPECT_FALSE(limiter.admit(0));
  for (int turns = 0; turns < 100 && ready == 0; ++turns) ASSERT_TRUE(loop->run_once(1000));
  EXPECT_EQ(ready, 1);
  EXPECT_TRUE(limiter.admit(0));
}

}  // namespace
}  // namespace mote::virtio
