#include "virtio/rate_limiter.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"

namespace mote::virtio {
namespace {

// More than any machine waits for at once, and little enough for every timer.
constexpr std::uint64_t kLongestWait = 3'600'000'000'000;

class LoopAlarm final : public Alarm {
 public:
  explicit LoopAlarm(EventLoop::Timer timer) : timer_(std::move(timer)) {}
  std::uint64_t now() const override { return monotonic_ns(); }
  void set(std::uint64_t delay) override {
    // Fails only for times that are none.
    static_cast<void>(timer_.set(
        std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(delay, kLongestWait)))));
  }

 private:
  EventLoop::Timer timer_;
};

std::optional<TokenBucket> bucket_of(const TokenBucketConfig& config, std::uint64_t now) {
  return TokenBucket::create(config.size, config.refill_time, config.one_time_burst.value_or(0),
                             now);
}

// How long to wait for a bucket that refuses `tokens`; 0: it does not.
std::uint64_t wait_for(const std::optional<TokenBucket>& bucket, std::uint64_t tokens) {
  if (!bucket) return 0;
  const std::uint64_t fits = bucket->wait_for(tokens);
  if (fits == 0) return 0;
  return std::max(fits, std::min(RateLimiter::kLeastWait, bucket->wait_until_full()));
}

}  // namespace

Result<std::unique_ptr<Alarm>> make_alarm(EventLoop& loop, std::function<void()> due) {
  MOTE_TRY(EventLoop::Timer timer, loop.timer(std::move(due)));
  return std::make_unique<LoopAlarm>(std::move(timer));
}

RateLimiter::RateLimiter(EventLoop& loop, std::function<void()> ready)
    : RateLimiter(
          [&loop](std::function<void()> due) { return virtio::make_alarm(loop, std::move(due)); },
          std::move(ready)) {}

RateLimiter::RateLimiter(AlarmMaker make_alarm, std::function<void()> ready)
    : make_alarm_(std::move(make_alarm)), ready_(std::move(ready)) {}

Result<void> RateLimiter::update(const RateLimiterConfig& config) {
  if (!config.bandwidth && !config.ops) return {};
  MOTE_CHECK(need_alarm());
  if (config.bandwidth) bandwidth_ = bucket_of(*config.bandwidth, alarm_->now());
  if (config.ops) ops_ = bucket_of(*config.ops, alarm_->now());
  // What waits may pass by now, or by another time than the alarm is set for.
  if (std::exchange(waiting_, false)) ready_();
  return {};
}

bool RateLimiter::admit(std::uint64_t bytes, std::uint64_t requests) {
  if (!bandwidth_ && !ops_) return true;
  if (waiting_) return false;
  const std::uint64_t now = alarm_->now();
  const bool bytes_fit = !bandwidth_ || bandwidth_->fits(bytes, now);
  const bool requests_fit = !ops_ || ops_->fits(requests, now);
  if (!bytes_fit || !requests_fit) {
    waiting_ = true;
    alarm_->set(std::max(wait_for(bandwidth_, bytes), wait_for(ops_, requests)));
    return false;
  }
  if (bandwidth_) bandwidth_->take(bytes);
  if (ops_) ops_->take(requests);
  return true;
}

void RateLimiter::refund(std::uint64_t bytes, std::uint64_t requests) {
  if (bandwidth_) bandwidth_->give_back(bytes);
  if (ops_) ops_->give_back(requests);
}

void RateLimiter::due() {
  // Not waiting: it was set before the limits were changed.
  if (std::exchange(waiting_, false)) ready_();
}

RateLimiterState RateLimiter::save() {
  RateLimiterState state;
  if (bandwidth_) state.bandwidth = bandwidth_->save(alarm_->now());
  if (ops_) state.ops = ops_->save(alarm_->now());
  return state;
}

Result<void> RateLimiter::restore(const RateLimiterState& state) {
  bandwidth_.reset();
  ops_.reset();
  if (!state.bandwidth && !state.ops) return {};
  MOTE_CHECK(need_alarm());
  if (state.bandwidth) bandwidth_ = TokenBucket::restore(*state.bandwidth, alarm_->now());
  if (state.ops) ops_ = TokenBucket::restore(*state.ops, alarm_->now());
  return {};
}

Result<void> RateLimiter::need_alarm() {
  if (!alarm_) {
    MOTE_TRY(alarm_, make_alarm_([this] { due(); }));
  }
  return {};
}

}  // namespace mote::virtio
