// When answers are shown: at once to a driver that makes one request at a time, together to one
// that makes many.
#include "virtio/queue/batch_pace.h"

#include <gtest/gtest.h>

namespace mote::virtio::test {
namespace {

constexpr std::uint64_t kUs = 1000;

// A driver that makes `depth` requests, `gap` apart, and then waits for an interrupt; its next
// batch begins `think` after the answers are shown.
struct Driver {
  std::uint32_t depth = 1;
  std::uint64_t gap = 0;
  std::uint64_t think = 0;
};

struct Outcome {
  std::uint64_t batches = 0;
  std::uint64_t waited = 0;  // for requests that did not come
};

// Runs `rounds` batches of the driver through the pace, as a device does.
Outcome run(BatchPace& pace, const Driver& driver, int rounds) {
  static std::uint64_t now = 1;
  Outcome outcome;
  for (int round = 0; round < rounds; ++round) {
    std::uint32_t made = 0;
    while (made < driver.depth) {
      pace.begin(now);
      ++made;
      std::uint32_t answers = 1;
      while (const std::uint64_t window = pace.window(answers)) {
        if (made == driver.depth || driver.gap >= window) {
          now += window;
          outcome.waited += window;
          pace.dry(answers);
          break;
        }
        now += driver.gap;
        pace.came(driver.gap);
        ++made;
        ++answers;
      }
      ++outcome.batches;
      // An interrupt in the middle costs the driver as much as one at the end.
      now += driver.think;
    }
  }
  return outcome;
}

TEST(BatchPace, OneAtATimeIsHardlyEverKeptWaiting) {
  BatchPace pace;
  const Driver driver{.depth = 1, .think = 20 * kUs};
  run(pace, driver, 1000);
  const Outcome outcome = run(pace, driver, 10000);
  EXPECT_EQ(outcome.batches, 10000U);
  EXPECT_LT(outcome.waited, 10000 * driver.think / 100) << "less than a hundredth of the time";
}

TEST(BatchPace, ManyAreShownTogether) {
  for (const std::uint32_t depth : {2U, 8U, 32U}) {
    BatchPace pace;
    const Driver driver{.depth = depth, .gap = 3 * kUs, .think = 20 * kUs};
    run(pace, driver, 2000);
    const Outcome outcome = run(pace, driver, 1000);
    EXPECT_LE(outcome.batches, 1100U) << depth;
    EXPECT_LT(outcome.waited, 1000 * driver.think) << depth;
  }
}

TEST(BatchPace, ADriverThatGoesBackToOneIsNoticed) {
  BatchPace pace;
  run(pace, {.depth = 32, .gap = 3 * kUs, .think = 20 * kUs}, 2000);
  const Outcome outcome = run(pace, {.depth = 1, .think = 20 * kUs}, 1000);
  EXPECT_LT(outcome.waited, 1000 * 2 * kUs);
}

TEST(BatchPace, ASlowDriverIsNotWaitedFor) {
  BatchPace pace;
  const Outcome outcome = run(pace, {.depth = 1, .think = 10'000 * kUs}, 1000);
  EXPECT_EQ(outcome.waited, 0U);
}

TEST(BatchPace, NothingToShowIsNothingToWaitFor) {
  BatchPace pace;
  EXPECT_EQ(pace.window(0), 0U);
}

}  // namespace
}  // namespace mote::virtio::test
