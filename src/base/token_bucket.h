// TokenBucket is the arithmetic of a rate limit, over a time that is told to it: a bucket of `size`
// tokens which fills evenly, an empty one in `refill_time` milliseconds, and a burst beside it that
// is there once. Exact: nothing is rounded, so nothing drifts, whatever the numbers.
//
// As Firecracker has it, the burst is used up first, and a request for more than the bucket can
// ever hold is let through on credit: what it takes beyond what is there is a debt, and nothing
// else passes before that is paid.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>

namespace mote {

// A bucket with what is in it.
struct TokenBucketState {
  std::uint64_t size = 0;
  std::uint64_t refill_time = 0;     // milliseconds
  std::uint64_t one_time_burst = 0;  // what is left of it
  // What is missing to a full bucket, in tokens times nanoseconds of refill_time: 128 bits.
  std::uint64_t missing_high = 0;
  std::uint64_t missing_low = 0;
};
BOOST_DESCRIBE_STRUCT(TokenBucketState, (),
                      (size, refill_time, one_time_burst, missing_high, missing_low))

// Times are nanoseconds of any clock that does not go back; one that does stands still.
class TokenBucket {
 public:
  // A full one. nullopt, no limit: `size` or `refill_time_ms` is 0.
  static std::optional<TokenBucket> create(std::uint64_t size, std::uint64_t refill_time_ms,
                                           std::uint64_t one_time_burst, std::uint64_t now);
  // As it was saved; no time has passed since. nullopt as above.
  static std::optional<TokenBucket> restore(const TokenBucketState& state, std::uint64_t now);
  TokenBucketState save(std::uint64_t now);

  // Lets time pass, and says whether `tokens` can be taken then.
  bool fits(std::uint64_t tokens, std::uint64_t now);
  // Takes what fits() allowed.
  void take(std::uint64_t tokens);
  // Gives back what take() took and was not used. Into the bucket, as far as there is room.
  void give_back(std::uint64_t tokens);

  // Nanoseconds from the last fits() until `tokens` can be taken, or the bucket is full, if nothing
  // is taken meanwhile.
  std::uint64_t wait_for(std::uint64_t tokens) const;
  std::uint64_t wait_until_full() const;

 private:
  // Of tokens times nanoseconds. The bucket holds less than 2^127 of them, and so is a debt: sums
  // of the two do not overflow.
  using Amount = unsigned __int128;

  TokenBucket(std::uint64_t size, std::uint64_t refill_time_ms, std::uint64_t one_time_burst,
              std::uint64_t now);

  void refill(std::uint64_t now);
  Amount capacity() const { return Amount{size_} * refill_ns_; }
  // What take(tokens) would take from the bucket, once the burst has given its part.
  Amount beyond_burst(std::uint64_t tokens) const;
  std::uint64_t time_to_gain(Amount amount) const;

  std::uint64_t size_;
  std::uint64_t refill_time_ms_;
  std::uint64_t refill_ns_;  // below 2^63
  std::uint64_t burst_;
  std::uint64_t last_;
  Amount missing_ = 0;  // to a full bucket; above capacity(): a debt
};

}  // namespace mote
