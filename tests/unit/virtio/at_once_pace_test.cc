// When kicks are answered on the thread that makes them: for a driver that makes small reads one by
// one, and for no other.
#include "virtio/block/at_once_pace.h"

#include <gtest/gtest.h>

namespace mote::virtio::test {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

class AtOncePaceTest : public ::testing::Test {
 protected:
  void serve(std::uint32_t times, bool done = true) {
    for (std::uint32_t i = 0; i < times; ++i) serve({1, 1, 1}, done);
  }
  void serve(const AtOncePace::Run& run, bool done = true) { pace_.served(run, done, now_); }
  void answer(std::uint32_t times) {
    for (std::uint32_t i = 0; i < times; ++i) pace_.answered(now_, now_ + kMs / 10);
  }
  // On, and at a time when it may begin.
  void begin(std::uint32_t reads = AtOncePace::kEnough) {
    now_ += AtOncePace::kLeastBetween;
    serve(reads);
    ASSERT_TRUE(pace_.on());
  }
  // Ends it, as a driver with several requests under way does.
  void crowd() { serve({2, 2, 2}); }

  AtOncePace pace_;
  std::uint64_t now_ = 1;
};

TEST_F(AtOncePaceTest, BeginsWhenEnoughCameAloneInARow) {
  EXPECT_FALSE(pace_.on());
  serve(AtOncePace::kEnough - 1);
  EXPECT_FALSE(pace_.on());
  serve(1, false);
  serve(AtOncePace::kEnough - 1);
  EXPECT_FALSE(pace_.on());
  serve(1);
  EXPECT_TRUE(pace_.on());
}

TEST_F(AtOncePaceTest, CountsThoseThatFollowEachOtherInOneRun) {
  serve({.requests = AtOncePace::kEnough, .together = 1, .small_reads = AtOncePace::kEnough - 1});
  EXPECT_FALSE(pace_.on()) << "one of another kind";
  serve({.requests = AtOncePace::kEnough, .together = 2, .small_reads = AtOncePace::kEnough});
  EXPECT_FALSE(pace_.on()) << "two at once";
  serve({.requests = AtOncePace::kEnough, .together = 1, .small_reads = AtOncePace::kEnough});
  EXPECT_TRUE(pace_.on());
}

TEST_F(AtOncePaceTest, EndsWhenThereAreSeveral) {
  begin();
  serve(5, false);
  EXPECT_TRUE(pace_.on()) << "one of another kind is none";
  crowd();
  EXPECT_FALSE(pace_.on());
}

TEST_F(AtOncePaceTest, BearsSomeThatCannotBeAnswered) {
  begin();
  for (int i = 0; i < 1000; ++i) {
    answer(9);
    serve(1, false);
  }
  EXPECT_TRUE(pace_.on());
  for (int i = 0; i < 1000 && pace_.on(); ++i) {
    answer(1);
    serve(1, false);
  }
  EXPECT_FALSE(pace_.on());
}

TEST_F(AtOncePaceTest, BearsFewThatTakeLong) {
  begin();
  int answers = 0;
  for (; pace_.on(); ++answers) pace_.answered(now_, now_ + kMs);
  EXPECT_EQ(answers, AtOncePace::kMostCredit / AtOncePace::kMiss);
}

TEST_F(AtOncePaceTest, WantsMoreWhereItWasNotWorthIt) {
  std::uint32_t enough = AtOncePace::kEnough;
  for (int i = 0; i < 20; ++i) {
    now_ += AtOncePace::kLeastBetween;
    serve(enough - 1);
    EXPECT_FALSE(pace_.on());
    serve(1);
    ASSERT_TRUE(pace_.on());
    crowd();
    enough = std::min(2 * enough, AtOncePace::kMostEnough);
  }
  EXPECT_EQ(enough, AtOncePace::kMostEnough);
  // Once it was, it is easy again.
  begin(enough);
  answer(AtOncePace::kWorth * enough);
  crowd();
  begin();
}

TEST_F(AtOncePaceTest, BeginsNotTooSoonAfterItsEnd) {
  begin();
  answer(1000);
  crowd();
  now_ += AtOncePace::kLeastBetween - 1;
  serve(1000);
  EXPECT_FALSE(pace_.on());
  ++now_;
  serve(1);
  EXPECT_TRUE(pace_.on());
}

TEST_F(AtOncePaceTest, TriesTheOtherWayMoreAndMoreSeldom) {
  begin();
  int tries = 0;
  const std::uint64_t end = now_ + 4000 * kMs;
  for (; now_ < end; now_ += kMs / 10) {
    if (!pace_.try_other(now_)) continue;
    ++tries;
    serve(1);  // which costs nothing
  }
  EXPECT_TRUE(pace_.on());
  // At 25, 75, 175, 375 ms, and each 400 ms from there on.
  EXPECT_GE(tries, 12);
  EXPECT_LE(tries, 14);
  crowd();
  begin(2 * AtOncePace::kEnough);
  EXPECT_FALSE(pace_.try_other(now_ + 24 * kMs));
  EXPECT_TRUE(pace_.try_other(now_ + 26 * kMs)) << "often again, after it was begun anew";
}

TEST_F(AtOncePaceTest, NeverComesBackWhereItCannotBe) {
  serve(AtOncePace::kEnough);
  pace_.give_up();
  serve(100000);
  EXPECT_FALSE(pace_.on());
}

}  // namespace
}  // namespace mote::virtio::test
