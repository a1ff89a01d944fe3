#include "base/token_bucket.h"

#include <algorithm>
#include <limits>

namespace mote {
namespace {

constexpr std::uint64_t kNanosecondsAMillisecond = 1'000'000;
// 292 years, which nobody will see the end of.
constexpr std::uint64_t kLongestRefill = std::numeric_limits<std::int64_t>::max();

}  // namespace

TokenBucket::TokenBucket(std::uint64_t size, std::uint64_t refill_time_ms,
                         std::uint64_t one_time_burst, std::uint64_t now)
    : size_(size),
      refill_time_ms_(refill_time_ms),
      refill_ns_(refill_time_ms > kLongestRefill / kNanosecondsAMillisecond
                     ? kLongestRefill
                     : refill_time_ms * kNanosecondsAMillisecond),
      burst_(one_time_burst),
      last_(now) {}

std::optional<TokenBucket> TokenBucket::create(std::uint64_t size, std::uint64_t refill_time_ms,
                                               std::uint64_t one_time_burst, std::uint64_t now) {
  if (size == 0 || refill_time_ms == 0) return std::nullopt;
  return TokenBucket(size, refill_time_ms, one_time_burst, now);
}

std::optional<TokenBucket> TokenBucket::restore(const TokenBucketState& state, std::uint64_t now) {
  auto bucket = create(state.size, state.refill_time, state.one_time_burst, now);
  if (bucket) bucket->missing_ = Amount{state.missing_high} << 64 | state.missing_low;
  return bucket;
}

TokenBucketState TokenBucket::save(std::uint64_t now) {
  refill(now);
  return {.size = size_,
          .refill_time = refill_time_ms_,
          .one_time_burst = burst_,
          .missing_high = static_cast<std::uint64_t>(missing_ >> 64),
          .missing_low = static_cast<std::uint64_t>(missing_)};
}

bool TokenBucket::fits(std::uint64_t tokens, std::uint64_t now) {
  refill(now);
  return wait_for(tokens) == 0;
}

void TokenBucket::take(std::uint64_t tokens) {
  const Amount from_bucket = beyond_burst(tokens);
  burst_ -= std::min(burst_, tokens);
  missing_ += from_bucket;
}

void TokenBucket::give_back(std::uint64_t tokens) {
  missing_ -= std::min(missing_, Amount{tokens} * refill_ns_);
}

std::uint64_t TokenBucket::wait_for(std::uint64_t tokens) const {
  const Amount wanted = beyond_burst(tokens);
  if (wanted == 0) return 0;
  // Nothing is asked of the level when it could never be enough; but a debt is to be paid first.
  const Amount allowed = wanted > capacity() ? capacity() : capacity() - wanted;
  return missing_ <= allowed ? 0 : time_to_gain(missing_ - allowed);
}

std::uint64_t TokenBucket::wait_until_full() const { return time_to_gain(missing_); }

void TokenBucket::refill(std::uint64_t now) {
  if (now <= last_) return;
  missing_ -= std::min(missing_, Amount{size_} * (now - last_));
  last_ = now;
}

TokenBucket::Amount TokenBucket::beyond_burst(std::uint64_t tokens) const {
  return Amount{tokens - std::min(burst_, tokens)} * refill_ns_;
}

std::uint64_t TokenBucket::time_to_gain(Amount amount) const {
  const Amount whole = amount / size_ + (amount % size_ == 0 ? 0 : 1);
  return static_cast<std::uint64_t>(
      std::min<Amount>(whole, std::numeric_limits<std::uint64_t>::max()));
}

}  // namespace mote
