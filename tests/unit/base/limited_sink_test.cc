#include "base/limited_sink.h"

#include <gtest/gtest.h>

#include <vector>

namespace mote {
namespace {

class Kept final : public ByteSink {
 public:
  explicit Kept(std::size_t& bytes) : bytes_(bytes) {}
  Result<std::size_t> write(std::span<const std::byte> bytes) override {
    bytes_ += bytes.size();
    return bytes.size();
  }

 private:
  std::size_t& bytes_;
};

class LimitedSinkTest : public testing::Test {
 protected:
  LimitedSink make(std::uint64_t size, std::uint64_t refill_time_ms, std::uint64_t burst) {
    return {std::make_unique<Kept>(kept), size, refill_time_ms, burst, [this] { return now; }};
  }
  void write(LimitedSink& sink, int count) {
    for (int i = 0; i < count; ++i) ASSERT_EQ(sink.write(std::array{std::byte{'x'}}), 1U);
  }

  std::uint64_t now = 1;
  std::size_t kept = 0;
};

TEST_F(LimitedSinkTest, WhatIsBeyondIsLostAndCounted) {
  LimitedSink sink = make(10, 100, 0);
  write(sink, 15);
  EXPECT_EQ(kept, 10U);
  EXPECT_EQ(sink.dropped(), 5U);
  now += 50'000'000;  // half of the bucket again
  write(sink, 6);
  EXPECT_EQ(kept, 15U);
  EXPECT_EQ(sink.dropped(), 6U);
}

TEST_F(LimitedSinkTest, ABatchIsCutToWhatFits) {
  LimitedSink sink = make(10, 100, 0);
  const std::array<std::byte, 16> batch{};
  EXPECT_EQ(sink.write(batch), 16U);
  EXPECT_EQ(kept, 10U);
  EXPECT_EQ(sink.dropped(), 6U);
  EXPECT_EQ(sink.write(batch), 16U);
  EXPECT_EQ(kept, 10U);
  EXPECT_EQ(sink.dropped(), 22U);
}

TEST_F(LimitedSinkTest, ABurstIsThereOnce) {
  LimitedSink sink = make(10, 100, 3);
  write(sink, 20);
  EXPECT_EQ(kept, 13U);
  now += 1'000'000'000;
  write(sink, 20);
  EXPECT_EQ(kept, 23U);
}

TEST_F(LimitedSinkTest, ALimitOfNothingIsNone) {
  LimitedSink sink = make(0, 100, 0);
  write(sink, 1000);
  EXPECT_EQ(kept, 1000U);
  EXPECT_EQ(sink.dropped(), 0U);
}

}  // namespace
}  // namespace mote
