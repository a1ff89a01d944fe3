// How a device's traffic is limited: two token buckets, one of bytes (bandwidth) and one of
// requests (ops), described as configuration; and the gate that holds requests to them.
//
// A request that the gate refuses stays in its ring (Queue::put_back()), so that what waits takes
// no memory here, and the device serves the ring again when it is told that there is room. A timer
// says so, one for both buckets: it is set for the moment when the refused request fits, but is not
// due before kLeastWait from now, so that many small requests do not make a timer each. Where a
// bucket would be full before that, and tokens be lost, it is due when the bucket is full. Until it
// is due nothing passes, so that small requests do not overtake a large one for ever.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/token_bucket.h"

namespace mote::virtio {

// A bucket of `size` tokens that refills in `refill_time` milliseconds, with a burst that is there
// once. A size or refill_time of 0: no limit.
struct TokenBucketConfig {
  std::uint64_t size = 0;
  std::optional<std::uint64_t> one_time_burst{};
  std::uint64_t refill_time = 0;
};
BOOST_DESCRIBE_STRUCT(TokenBucketConfig, (), (size, one_time_burst, refill_time))

// Limits on bytes (bandwidth) and on requests (ops).
struct RateLimiterConfig {
  std::optional<TokenBucketConfig> bandwidth{};
  std::optional<TokenBucketConfig> ops{};
};
BOOST_DESCRIBE_STRUCT(RateLimiterConfig, (), (bandwidth, ops))

// The buckets that there are, with what is in them.
struct RateLimiterState {
  std::optional<TokenBucketState> bandwidth{};
  std::optional<TokenBucketState> ops{};
};
BOOST_DESCRIBE_STRUCT(RateLimiterState, (), (bandwidth, ops))

// A clock with one alarm.
class Alarm {
 public:
  virtual ~Alarm() = default;
  // Nanoseconds since some beginning.
  virtual std::uint64_t now() const = 0;
  // Goes off once, `delay` nanoseconds from now; replaces what was set before.
  virtual void set(std::uint64_t delay) = 0;
};

// An alarm on CLOCK_MONOTONIC that calls `due` on the loop's thread. Errors: no descriptors left.
Result<std::unique_ptr<Alarm>> make_alarm(EventLoop& loop, std::function<void()> due);

class RateLimiter {
 public:
  // In nanoseconds.
  static constexpr std::uint64_t kLeastWait = 5'000'000;

  // How to get an alarm that calls `due`; asked when there is something to limit.
  using AlarmMaker = std::function<Result<std::unique_ptr<Alarm>>(std::function<void()> due)>;

  // Without limits. `ready` is called, from the alarm or update() but never from admit(), when what
  // admit() refused may be tried again.
  RateLimiter(EventLoop& loop, std::function<void()> ready);
  RateLimiter(AlarmMaker make_alarm, std::function<void()> ready);
  RateLimiter(const RateLimiter&) = delete;
  RateLimiter& operator=(const RateLimiter&) = delete;

  // Gets what update() may need of the host, which cannot fail after that.
  Result<void> prepare() { return need_alarm(); }
  // Sets limits, also while requests wait: a bucket that `config` does not have stays, one that it
  // has is replaced by a full one, or by none where its size or refill_time is 0.
  Result<void> update(const RateLimiterConfig& config);

  // Whether `requests` of `bytes` together may pass, which takes them from both buckets or from
  // none. False: `ready` will be called.
  bool admit(std::uint64_t bytes, std::uint64_t requests = 1);
  // Gives back what was admitted and not used.
  void refund(std::uint64_t bytes, std::uint64_t requests = 1);

  // Whether there is a bucket.
  bool limits() const { return bandwidth_ || ops_; }

  RateLimiterState save();
  // The buckets as `state` says, in place of those that there are.
  Result<void> restore(const RateLimiterState& state);

 private:
  Result<void> need_alarm();
  void due();

  const AlarmMaker make_alarm_;
  const std::function<void()> ready_;
  std::unique_ptr<Alarm> alarm_;  // there is one when there is a bucket
  std::optional<TokenBucket> bandwidth_;
  std::optional<TokenBucket> ops_;
  bool waiting_ = false;  // for the alarm
};

}  // namespace mote::virtio
