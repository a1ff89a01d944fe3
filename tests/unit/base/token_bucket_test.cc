#include "base/token_bucket.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <random>

namespace mote {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

TokenBucket bucket(std::uint64_t size, std::uint64_t refill_ms, std::uint64_t burst = 0,
                   std::uint64_t now = 0) {
  return *TokenBucket::create(size, refill_ms, burst, now);
}

bool take(TokenBucket& bucket, std::uint64_t tokens, std::uint64_t now) {
  if (!bucket.fits(tokens, now)) return false;
  bucket.take(tokens);
  return true;
}

TEST(TokenBucket, WithoutASizeOrATimeIsNoLimit) {
  EXPECT_FALSE(TokenBucket::create(0, 100, 5, 0));
  EXPECT_FALSE(TokenBucket::create(100, 0, 5, 0));
  EXPECT_FALSE(TokenBucket::create(0, 0, 0, 0));
  EXPECT_FALSE(TokenBucket::restore({.size = 0, .refill_time = 1}, 0));
  EXPECT_TRUE(TokenBucket::create(1, 1, 0, 0));
}

TEST(TokenBucket, StartsFullAndFillsEvenly) {
  TokenBucket made = bucket(1000, 100);
  EXPECT_TRUE(take(made, 1000, 0));
  EXPECT_FALSE(take(made, 1, 0));
  EXPECT_EQ(made.wait_for(1), 100'000U);  // 1000 tokens in 100 ms: one every 0.1 ms
  EXPECT_EQ(made.wait_for(500), 50 * kMs);
  EXPECT_EQ(made.wait_until_full(), 100 * kMs);
  EXPECT_FALSE(take(made, 500, 50 * kMs - 1));
  EXPECT_TRUE(take(made, 500, 50 * kMs));
  EXPECT_FALSE(take(made, 1, 50 * kMs));
  EXPECT_TRUE(take(made, 1000, 1000 * kMs)) << "and never above its size";
  EXPECT_FALSE(take(made, 1, 1000 * kMs));
}

TEST(TokenBucket, WaitsExactlyAsLongAsItSays) {
  std::minstd_rand random(7);
  for (int round = 0; round < 2000; ++round) {
    const std::uint64_t size = 1 + random() % 100'000;
    TokenBucket made = bucket(size, 1 + random() % 5000);
    std::uint64_t now = random();
    ASSERT_TRUE(take(made, size, now));
    const std::uint64_t tokens = 1 + random() % size;
    ASSERT_FALSE(made.fits(tokens, now));
    const std::uint64_t wait = made.wait_for(tokens);
    ASSERT_FALSE(made.fits(tokens, now + wait - 1)) << size << " " << tokens;
    ASSERT_TRUE(made.fits(tokens, now + wait)) << size << " " << tokens;
  }
}

// 3 tokens in 7 ms have no whole number of nanoseconds each.
TEST(TokenBucket, DoesNotDriftHoweverOftenItIsAsked) {
  TokenBucket made = bucket(3, 7);
  std::uint64_t taken = 0;
  std::minstd_rand random(1);
  for (std::uint64_t now = 0; now <= 7000 * kMs; now += random() % 10'000) {
    if (take(made, 1, now)) ++taken;
    static_cast<void>(made.fits(1, now));
  }
  EXPECT_NEAR(static_cast<double>(taken), 3 + 3000, 1);
}

TEST(TokenBucket, BurstsOnce) {
  TokenBucket made = bucket(100, 1000, 250);
  EXPECT_TRUE(take(made, 200, 0));
  EXPECT_TRUE(take(made, 150, 0)) << "50 from the burst, 100 from the bucket";
  EXPECT_FALSE(take(made, 1, 0));
  EXPECT_TRUE(take(made, 100, 60'000 * kMs));
  EXPECT_FALSE(take(made, 1, 60'000 * kMs)) << "the burst does not come back";
}

TEST(TokenBucket, LendsForWhatIsLargerThanItAndIsPaidBackFirst) {
  TokenBucket made = bucket(100, 1000);
  EXPECT_TRUE(take(made, 350, 0)) << "100 that are there, 250 on credit";
  EXPECT_FALSE(made.fits(350, 0)) << "no second credit";
  EXPECT_EQ(made.wait_for(350), 2500 * kMs);
  EXPECT_EQ(made.wait_for(1), 2510 * kMs);
  EXPECT_EQ(made.wait_until_full(), 3500 * kMs);
  EXPECT_FALSE(take(made, 1, 2509 * kMs));
  EXPECT_TRUE(take(made, 1, 2510 * kMs));
  EXPECT_TRUE(take(made, kMost, 2510 * kMs)) << "whatever it is";
  EXPECT_FALSE(take(made, 1, 1'000'000'000 * kMs));
}

TEST(TokenBucket, TakesBackWhatWasNotUsed) {
  TokenBucket made = bucket(100, 1000);
  EXPECT_TRUE(take(made, 100, 0));
  made.give_back(40);
  EXPECT_FALSE(made.fits(41, 0));
  EXPECT_TRUE(made.fits(40, 0));
  made.give_back(kMost);
  EXPECT_TRUE(take(made, 100, 0));
  EXPECT_FALSE(take(made, 1, 0)) << "but no more than fits into it";
}

TEST(TokenBucket, StandsStillWhenTheClockGoesBack) {
  TokenBucket made = bucket(100, 1000, 0, 5000 * kMs);
  EXPECT_TRUE(take(made, 100, 5000 * kMs));
  EXPECT_FALSE(take(made, 1, 4000 * kMs));
  EXPECT_TRUE(take(made, 1, 5010 * kMs));
  EXPECT_FALSE(take(made, 1, 5010 * kMs));
}

TEST(TokenBucket, BearsEveryNumber) {
  const std::uint64_t some[] = {1, 2, 1000, std::uint64_t{1} << 32, kMost / 2, kMost - 1, kMost};
  for (const auto size : some) {
    for (const auto refill : some) {
      for (const auto tokens : some) {
        TokenBucket made = bucket(size, refill, size);
        ASSERT_TRUE(take(made, tokens, 0));
        static_cast<void>(take(made, tokens, 1));
        static_cast<void>(take(made, kMost, kMost / 2));
        static_cast<void>(take(made, kMost, kMost));
        made.give_back(tokens);
        static_cast<void>(made.wait_for(kMost));
        static_cast<void>(made.wait_until_full());
        const TokenBucketState state = made.save(kMost);
        EXPECT_EQ(TokenBucket::restore(state, 0)->save(0).missing_high, state.missing_high);
      }
    }
  }
}

TEST(TokenBucket, GoesOnWhereItWasSaved) {
  TokenBucket first = bucket(100, 1000, 30);
  EXPECT_TRUE(take(first, 10, 0));
  EXPECT_TRUE(take(first, 420, 0));  // 20 of the burst, all of the bucket, 300 on credit
  const TokenBucketState state = first.save(500 * kMs);
  EXPECT_EQ(state.size, 100U);
  EXPECT_EQ(state.refill_time, 1000U);
  EXPECT_EQ(state.one_time_burst, 0U);
  // Another machine, another clock; the time between does not count.
  TokenBucket second = *TokenBucket::restore(state, 77 * kMs);
  EXPECT_FALSE(take(second, 1, 77 * kMs));
  EXPECT_EQ(second.wait_for(1), 2510 * kMs);
  EXPECT_EQ(bucket(100, 1000, 30).save(0).one_time_burst, 30U);
}

}  // namespace
}  // namespace mote
