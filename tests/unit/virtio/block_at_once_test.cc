// Reads of a disk that are answered on the thread of the vCPU that asks for them.
#include <gtest/gtest.h>
#include <linux/virtio_blk.h>

#include "virtio/block/device.h"
#include "virtio/fake_disk.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

constexpr std::uint64_t kSectors = 256;
constexpr std::uint32_t kMost = Block::kMostAtOnce;

class BlockAtOnceTest : public ::testing::Test {
 protected:
  BlockAtOnceTest() {
    auto disk = std::make_unique<FakeDisk>(kSectors);
    disk_ = disk.get();
    disk_->at_hand = true;
    for (std::size_t i = 0; i < disk_->content.size(); ++i) {
      disk_->content[i] = static_cast<char>('a' + i / 512 % 26);
    }
    block_ = std::make_unique<Block>("drive 'test'", std::move(disk), CacheType::Unsafe);
    driver_ = std::make_unique<TestDriver>(*block_, 256);
  }
  void TearDown() override { driver_.reset(); }

  std::uint16_t push(std::uint32_t type, std::uint64_t sector, std::uint32_t length = 512) {
    return driver_->chain()
        .in_value(virtio_blk_outhdr{.type = type, .ioprio = 0, .sector = sector})
        .out(length)
        .out(1)
        .push();
  }
  // One read: whether it was answered at once. Either way it is answered rightly, with one
  // interrupt.
  bool read(std::uint64_t sector, std::uint32_t length = 512) {
    driver_->ring.set_used_event(driver_->ring.used_index());
    const auto head = push(VIRTIO_BLK_T_IN, sector, length);
    const int interrupts = driver_->host.interrupts;
    EXPECT_TRUE(driver_->ring.kick_due());
    disk_->log.clear();
    const bool at_once = driver_->kick_by_route();
    if (at_once) EXPECT_TRUE(disk_->log.empty()) << "nothing was submitted";
    EXPECT_EQ(driver_->host.interrupts, interrupts + 1);
    EXPECT_EQ(driver_->used(), (Used{head, length + 1}));
    EXPECT_EQ(driver_->ring.written(head), disk_->content.substr(sector * 512, length) + '\0');
    return at_once;
  }
  // Reads until they are answered at once.
  void warm_up() {
    for (std::uint32_t i = 0; i < AtOncePace::kEnough; ++i) EXPECT_FALSE(read(i));
    ASSERT_EQ(driver_->host.route, KickRoute::kHere);
  }

  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
  FakeDisk* disk_ = nullptr;
  std::unique_ptr<Block> block_;
  std::unique_ptr<TestDriver> driver_;
};

TEST_F(BlockAtOnceTest, SmallReadsOneByOneAre) {
  warm_up();
  const std::uint64_t reads = block_->metrics().read_count;
  const std::uint64_t kicks = block_->metrics().queue_event_count;  // each counts once
  const std::uint64_t bytes = block_->metrics().read_bytes;
  for (std::uint32_t i = 0; i < 100; ++i) EXPECT_TRUE(read(i));
  EXPECT_TRUE(read(0, kMost));
  EXPECT_EQ(block_->metrics().read_count, reads + 101);
  EXPECT_EQ(block_->metrics().queue_event_count, kicks + 101);
  EXPECT_EQ(block_->metrics().read_bytes, bytes + 100 * 512 + kMost);
}

TEST_F(BlockAtOnceTest, OthersAreNot) {
  warm_up();
  EXPECT_FALSE(read(0, kMost + 512));
  for (const std::uint32_t type : {VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_FLUSH, 77}) {
    push(type, 0);
    EXPECT_FALSE(driver_->kick_by_route());
    EXPECT_EQ(driver_->ring.take_used().size(), 1U);
  }
  driver_->chain()
      .in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_OUT, .ioprio = 0, .sector = 3})
      .in(std::string(512, 'W'))
      .out(1)
      .push();
  EXPECT_FALSE(driver_->kick_by_route());
  EXPECT_EQ(driver_->ring.take_used().size(), 1U);
  EXPECT_TRUE(read(3)) << "what was written is read";
  EXPECT_EQ(disk_->content[3 * 512], 'W');
}

TEST_F(BlockAtOnceTest, TheDriversFaultsAreNot) {
  warm_up();
  const auto status_of = [&](ChainBuilder& chain) {
    const auto head = chain.push();
    EXPECT_FALSE(driver_->kick_by_route());
    EXPECT_EQ(driver_->ring.take_used().size(), 1U);
    const std::string written = driver_->ring.written(head);
    return written.empty() ? -1 : int{written.back()};
  };
  const auto asked = [&](std::uint64_t sector) {
    ChainBuilder chain = driver_->chain();
    chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = sector});
    return chain;
  };
  auto beyond = asked(kSectors);
  EXPECT_EQ(status_of(beyond.out(512).out(1)), VIRTIO_BLK_S_IOERR);
  auto far = asked(UINT64_MAX);
  EXPECT_EQ(status_of(far.out(512).out(1)), VIRTIO_BLK_S_IOERR);
  auto odd = asked(0);
  EXPECT_EQ(status_of(odd.out(100).out(1)), VIRTIO_BLK_S_IOERR);
  auto unanswerable = asked(0);
  EXPECT_EQ(status_of(unanswerable), -1);
  auto short_header = driver_->chain().in("short");
  EXPECT_EQ(status_of(short_header.out(1)), VIRTIO_BLK_S_IOERR);
  EXPECT_EQ(block_->metrics().invalid_reqs_count, 5U);
}

TEST_F(BlockAtOnceTest, WhatIsNotAtHandIsSubmitted) {
  warm_up();
  disk_->at_hand = false;
  EXPECT_FALSE(read(9));
  disk_->at_hand = true;
  EXPECT_TRUE(read(9));
  disk_->at_hand = false;
  int tried = 0;
  while (driver_->host.route == KickRoute::kHere) {
    ASSERT_LT(++tried, 20);
    EXPECT_FALSE(read(9));
  }
  EXPECT_FALSE(read(9));
}

TEST_F(BlockAtOnceTest, NorIsAnythingBesideARequestUnderWay) {
  warm_up();
  disk_->defer = true;
  disk_->at_hand = false;
  push(VIRTIO_BLK_T_IN, 1);
  EXPECT_FALSE(driver_->kick_by_route());
  disk_->at_hand = true;
  push(VIRTIO_BLK_T_IN, 2);
  EXPECT_FALSE(driver_->kick_by_route());
  EXPECT_TRUE(driver_->ring.take_used().empty());
  ASSERT_EQ(disk_->waiting.size(), 2U);
  disk_->complete_one();
  disk_->complete_one();
  EXPECT_EQ(driver_->ring.take_used().size(), 2U);
}

TEST_F(BlockAtOnceTest, SeveralAreForTheMachineThread) {
  warm_up();
  disk_->log.clear();
  const auto first = push(VIRTIO_BLK_T_IN, 1);
  const auto second = push(VIRTIO_BLK_T_IN, 2);
  EXPECT_FALSE(driver_->kick_by_route());
  const auto used = driver_->ring.take_used();
  ASSERT_EQ(used.size(), 2U);
  EXPECT_EQ(used[0].head, first);
  EXPECT_EQ(used[1].head, second);
  EXPECT_EQ(disk_->log.size(), 1U) << "the first was at hand";
  EXPECT_EQ(block_->metrics().queue_event_count, AtOncePace::kEnough + 1);
  // A batch of two on the machine thread ends it.
  push(VIRTIO_BLK_T_IN, 1);
  push(VIRTIO_BLK_T_IN, 2);
  driver_->kick();
  EXPECT_EQ(driver_->host.route, KickRoute::kEvent);
}

TEST_F(BlockAtOnceTest, NotWithALimit) {
  ASSERT_TRUE(block_->limit(*loop_, {.ops = TokenBucketConfig{.size = 1000, .refill_time = 1000}}));
  for (std::uint32_t i = 0; i < 2 * AtOncePace::kEnough; ++i) EXPECT_FALSE(read(i));
  EXPECT_EQ(driver_->host.route, KickRoute::kEvent);
}

TEST_F(BlockAtOnceTest, ALimitThatComesLaterCounts) {
  warm_up();
  EXPECT_TRUE(read(0));
  ASSERT_TRUE(block_->limit(*loop_, {.ops = TokenBucketConfig{.size = 1, .refill_time = 1000000}}));
  EXPECT_FALSE(read(0));
  push(VIRTIO_BLK_T_IN, 0);
  EXPECT_FALSE(driver_->kick_by_route());
  EXPECT_TRUE(driver_->ring.take_used().empty()) << "it waits for the limit";
  EXPECT_EQ(block_->metrics().rate_limiter_throttled_events, 1U);
  // Without one it goes on, and with a generous one, kicks come as events again.
  ASSERT_TRUE(block_->limit(*loop_, {.ops = TokenBucketConfig{}}));
  EXPECT_EQ(driver_->ring.take_used().size(), 1U);
  EXPECT_TRUE(read(0));
  ASSERT_TRUE(block_->limit(*loop_, {.ops = TokenBucketConfig{.size = 1000, .refill_time = 1000}}));
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(read(0));
  EXPECT_EQ(driver_->host.route, KickRoute::kEvent);
}

TEST_F(BlockAtOnceTest, AHostThatCannotRouteIsAskedOnce) {
  driver_->host.can_route = false;
  for (std::uint32_t i = 0; i < 4 * AtOncePace::kEnough; ++i) EXPECT_FALSE(read(i % kSectors));
  driver_->host.can_route = true;
  for (std::uint32_t i = 0; i < 4 * AtOncePace::kEnough; ++i) EXPECT_FALSE(read(i % kSectors));
}

TEST_F(BlockAtOnceTest, AKickForNothingIsHarmless) {
  warm_up();
  EXPECT_FALSE(driver_->kick_by_route());
  EXPECT_TRUE(driver_->ring.take_used().empty());
  EXPECT_TRUE(read(0));
}

TEST_F(BlockAtOnceTest, ALyingRingIsToldOf) {
  warm_up();
  driver_->ring.set_available_index(
      static_cast<std::uint16_t>(driver_->ring.available_index() + 300));
  driver_->kick_by_route();
  EXPECT_EQ(driver_->host.breaks, 1);
  EXPECT_TRUE(driver_->ring.take_used().empty());
}

TEST_F(BlockAtOnceTest, AStoppedQueueAnswersNothing) {
  warm_up();
  auto queue = block_->stop(0);
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->in_flight(), 0U);
  push(VIRTIO_BLK_T_IN, 0);
  EXPECT_FALSE(block_->kick_here(0));
  EXPECT_TRUE(driver_->ring.take_used().empty());
  ASSERT_TRUE(block_->start(0, std::move(*queue)));
  EXPECT_TRUE(block_->kick_here(0));
  EXPECT_EQ(driver_->ring.take_used().size(), 1U);
}

TEST_F(BlockAtOnceTest, AnotherDiskInItsPlaceIsRead) {
  warm_up();
  auto other = std::make_unique<FakeDisk>(kSectors);
  disk_ = other.get();
  disk_->at_hand = true;
  disk_->content.assign(disk_->content.size(), 'Z');
  ASSERT_TRUE(block_->replace_disk(std::move(other)));
  EXPECT_TRUE(read(5));
}

}  // namespace
}  // namespace mote::virtio::test
