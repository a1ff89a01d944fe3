#include "base/counters.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace mote {
namespace {

TEST(Counter, LosesNothingOfSeveralThreads) {
  Counter counter;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&counter] {
      for (int step = 0; step < 1000; ++step) ++counter;
      counter += 500;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 6000U);
}

TEST(Counter, IsCopiedAsItsValue) {
  Counter counter;
  counter += 7;
  const Counter copy = counter;
  ++counter;
  EXPECT_EQ(copy, 7U);
  EXPECT_EQ(counter, 8U);
}

TEST(LatencyAggregate, KeepsTheShortestTheLongestAndTheSum) {
  LatencyAggregate latency;
  latency.add(30);
  EXPECT_EQ(latency.min_us, 30U);
  latency.add(10);
  latency.add(50);
  EXPECT_EQ(latency.min_us, 10U);
  EXPECT_EQ(latency.max_us, 50U);
  EXPECT_EQ(latency.sum_us, 90U);
}

TEST(LatencyScope, MeasuresToItsEnd) {
  Gauge last;
  LatencyAggregate all;
  for (int i = 0; i < 2; ++i) {
    const LatencyScope one(last);
    const LatencyScope each(all);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_GE(last, 2000U);
  EXPECT_GE(all.min_us, 2000U);
  EXPECT_GE(all.sum_us, 4000U);
}

}  // namespace
}  // namespace mote
