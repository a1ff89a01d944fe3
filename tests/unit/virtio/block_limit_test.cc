// Rate limits of a block device: what may not pass yet waits in its ring.
#include <gtest/gtest.h>
#include <linux/virtio_blk.h>

#include <functional>

#include "virtio/block/device.h"
#include "virtio/fake_disk.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

class BlockLimitTest : public ::testing::Test {
 protected:
  BlockLimitTest() {
    auto disk = std::make_unique<FakeDisk>(64);
    disk_ = disk.get();
    block_ = std::make_unique<Block>("drive 'test'", std::move(disk), CacheType::Unsafe);
    driver_ = std::make_unique<TestDriver>(*block_, 64);
  }
  void limit(const RateLimiterConfig& limits) {
    ASSERT_TRUE(block_->limit(*services_.loop, limits));
  }
  std::uint16_t push_read(std::uint32_t sectors) {
    ChainBuilder chain = driver_->chain();
    chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = 0});
    chain.out(512ULL * sectors).out(1);
    return chain.push();
  }
  // The requests that are answered once `count` are, or nothing happens any more.
  std::vector<Used> wait_for(std::size_t count) {
    std::vector<Used> all = driver_->ring.take_used();
    while (all.size() < count && *services_.loop->run_once(2000)) {
      for (const Used& used : driver_->ring.take_used()) all.push_back(used);
    }
    return all;
  }

  TestServices services_;
  FakeDisk* disk_ = nullptr;
  std::unique_ptr<Block> block_;
  std::unique_ptr<TestDriver> driver_;
};

constexpr std::uint64_t kFarAway = 1'000'000'000;  // ms

TEST_F(BlockLimitTest, RequestsWaitInTheRingAndAreDoneInOrder) {
  limit({.bandwidth = {}, .ops = TokenBucketConfig{.size = 2, .refill_time = 20}});
  std::vector<std::uint16_t> heads;
  for (int i = 0; i < 6; ++i) heads.push_back(push_read(1));
  driver_->kick();
  EXPECT_EQ(disk_->log.size(), 2U) << "the disk has seen no more";
  const auto used = wait_for(6);
  ASSERT_EQ(used.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(used[i].head, heads[i]);
    EXPECT_EQ(driver_->ring.written(heads[i]).back(), VIRTIO_BLK_S_OK);
  }
  EXPECT_GE(block_->metrics().rate_limiter_throttled_events, 2U);
  EXPECT_GE(block_->metrics().rate_limiter_event_count, 2U);
  EXPECT_EQ(block_->metrics().read_count, 6U);
}

TEST_F(BlockLimitTest, BytesOfDataCount) {
  limit({.bandwidth = TokenBucketConfig{.size = 4 * 512, .refill_time = kFarAway}, .ops = {}});
  push_read(3);
  push_read(2);
  push_read(1);
  driver_->kick();
  EXPECT_EQ(driver_->ring.take_used().size(), 1U) << "the third does not overtake the second";
}

TEST_F(BlockLimitTest, AWaitingQueueIsGivenBackWhole) {
  limit({.bandwidth = {}, .ops = TokenBucketConfig{.size = 1, .refill_time = kFarAway}});
  push_read(1);
  const auto second = push_read(1);
  driver_->kick();
  EXPECT_EQ(driver_->ring.take_used().size(), 1U);
  auto queue = block_->stop(0);
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->in_flight(), 0U);
  EXPECT_EQ(queue->forgotten(), 0U);
  EXPECT_EQ(queue->save().next_avail, 1U) << "the second is still to be taken";
  // And goes on, when there is no limit any more.
  ASSERT_TRUE(block_->start(0, std::move(*queue)));
  limit({.bandwidth = {}, .ops = TokenBucketConfig{}});
  EXPECT_EQ(driver_->used().head, second);
}

TEST_F(BlockLimitTest, SavesWhatIsLeft) {
  limit({.bandwidth = {}, .ops = TokenBucketConfig{.size = 3, .refill_time = kFarAway}});
  push_read(1);
  push_read(1);
  driver_->kick();
  const BlockState state = block_->save();
  ASSERT_TRUE(state.rate_limiter && state.rate_limiter->ops);
  EXPECT_FALSE(state.rate_limiter->bandwidth);
  EXPECT_EQ(state.rate_limiter->ops->size, 3U);
  auto bucket = TokenBucket::restore(*state.rate_limiter->ops, 0);
  EXPECT_TRUE(bucket->fits(1, 0));
  EXPECT_FALSE(bucket->fits(2, 0));
}

// A device with several queues, each driven by itself.
class BlockQueuesLimitTest : public ::testing::Test {
 protected:
  static constexpr std::uint16_t kQueues = 3;

  BlockQueuesLimitTest() {
    block_ = std::make_unique<Block>("drive 'test'", std::make_unique<FakeDisk>(64),
                                     BlockShape{.queues = kQueues});
    for (std::uint16_t i = 0; i < kQueues; ++i) {
      drivers_.push_back(std::make_unique<TestDriver>(*block_, 64, 0, i));
    }
  }
  void limit(const RateLimiterConfig& limits) {
    ASSERT_TRUE(block_->limit(*services_.loop, limits));
  }
  void push_reads(std::uint16_t queue, std::size_t count, std::uint32_t sectors = 1) {
    for (std::size_t i = 0; i < count; ++i) {
      ChainBuilder chain = drivers_[queue]->chain();
      chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = 0});
      chain.out(512ULL * sectors).out(1);
      chain.push();
    }
  }
  // Lets the loop run until `done`; how many requests each queue has had answered.
  std::vector<std::size_t> run_until(const std::function<bool()>& done) {
    while (!done() && *services_.loop->run_once(2000)) count_used();
    count_used();
    return answered_;
  }
  std::size_t answered() const { return answered_[0] + answered_[1] + answered_[2]; }

  TestServices services_;
  std::unique_ptr<Block> block_;
  std::vector<std::unique_ptr<TestDriver>> drivers_;
  std::vector<std::size_t> answered_ = std::vector<std::size_t>(kQueues);

 private:
  void count_used() {
    for (std::size_t i = 0; i < kQueues; ++i) answered_[i] += drivers_[i]->ring.take_used().size();
  }
};

TEST_F(BlockQueuesLimitTest, QueuesTakeTurns) {
  // Two requests each time that the limiter lets go.
  limit({.bandwidth = {}, .ops = TokenBucketConfig{.size = 2, .refill_time = 10}});
  for (std::uint16_t i = 0; i < kQueues; ++i) push_reads(i, 20);
  for (auto& driver : drivers_) driver->kick();
  const auto counts = run_until([this] { return answered() >= 48; });
  for (const std::size_t count : counts) {
    EXPECT_GE(count, 8U) << "a queue starved";
    EXPECT_LE(count, 24U);
  }
}

TEST_F(BlockQueuesLimitTest, ALargeRequestIsNotOvertakenForEver) {
  limit({.bandwidth = TokenBucketConfig{.size = 16 * 512, .refill_time = 20}, .ops = {}});
  push_reads(0, 20, 2);
  push_reads(1, 1, 16);
  push_reads(2, 20, 2);
  for (auto& driver : drivers_) driver->kick();
  const auto counts = run_until([this] { return answered_[1] == 1; });
  EXPECT_EQ(counts[1], 1U);
  EXPECT_LT(answered(), 41U) << "it was not the last one";
}

TEST_F(BlockQueuesLimitTest, AllGoOnWhenTheLimitIsTakenAway) {
  limit({.bandwidth = {}, .ops = TokenBucketConfig{.size = 1, .refill_time = kFarAway}});
  for (std::uint16_t i = 0; i < kQueues; ++i) push_reads(i, 20);
  for (auto& driver : drivers_) driver->kick();
  limit({.bandwidth = {}, .ops = TokenBucketConfig{}});
  EXPECT_EQ(run_until([] { return true; }), std::vector<std::size_t>(kQueues, 20));
}

}  // namespace
}  // namespace mote::virtio::test
