// What the block device does with ranges (discard, write zeroes), with more than one queue, and
// what it says of its disk.
#include <gtest/gtest.h>
#include <linux/virtio_blk.h>

#include "virtio/block/device.h"
#include "virtio/fake_disk.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

using storage::Op;

constexpr std::uint64_t kSectors = 128;
constexpr char kOk = VIRTIO_BLK_S_OK;
constexpr char kIoError = VIRTIO_BLK_S_IOERR;
constexpr char kUnsupported = VIRTIO_BLK_S_UNSUPP;

struct Range {
  std::uint64_t sector = 0;
  std::uint32_t sectors = 0;
  std::uint32_t flags = 0;
};

class BlockRangesTest : public ::testing::Test {
 protected:
  void build(bool read_only = false, BlockShape shape = {.cache = CacheType::Unsafe},
             storage::DiskTraits facts = {.can_discard = true}) {
    driver_.reset();
    auto disk = std::make_unique<FakeDisk>(kSectors);
    disk_ = disk.get();
    disk_->protect = read_only;
    disk_->facts = facts;
    block_ = std::make_unique<Block>("drive 'test'", std::move(disk), shape);
    driver_ = std::make_unique<TestDriver>(*block_, 64);
  }
  char ask(std::uint32_t type, const std::vector<Range>& ranges) {
    ChainBuilder chain = driver_->chain();
    chain.in_value(virtio_blk_outhdr{.type = type, .ioprio = 0, .sector = 7});
    for (const Range& range : ranges) {
      chain.in_value(virtio_blk_discard_write_zeroes{
          .sector = range.sector, .num_sectors = range.sectors, .flags = range.flags});
    }
    const auto head = chain.out(1).push();
    driver_->kick();
    EXPECT_EQ(driver_->used(), (Used{head, 1}));
    return driver_->ring.written(head).back();
  }
  virtio_blk_config config() {
    virtio_blk_config config{};
    block_->read_config(0, std::as_writable_bytes(std::span(&config, 1)));
    return config;
  }
  bool offers(unsigned bit) { return (block_->traits().features >> bit & 1) != 0; }

  FakeDisk* disk_ = nullptr;
  std::unique_ptr<Block> block_;
  std::unique_ptr<TestDriver> driver_;
};

TEST_F(BlockRangesTest, OffersRangesOfADiskThatIsWritten) {
  build();
  EXPECT_TRUE(offers(VIRTIO_BLK_F_DISCARD));
  EXPECT_TRUE(offers(VIRTIO_BLK_F_WRITE_ZEROES));
  EXPECT_EQ(config().max_discard_sectors, storage::kMostDiscarded / 512);
  EXPECT_EQ(config().max_discard_seg, 16U);
  EXPECT_EQ(config().max_write_zeroes_sectors, storage::kMostZeroes / 512);
  EXPECT_EQ(config().max_write_zeroes_seg, 1U);
  EXPECT_EQ(config().write_zeroes_may_unmap, 1);
  build(/*read_only=*/true);
  EXPECT_FALSE(offers(VIRTIO_BLK_F_DISCARD));
  EXPECT_FALSE(offers(VIRTIO_BLK_F_WRITE_ZEROES));
  build(false, {}, {.can_discard = false});
  EXPECT_FALSE(offers(VIRTIO_BLK_F_DISCARD));
  EXPECT_TRUE(offers(VIRTIO_BLK_F_WRITE_ZEROES));
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, {{0, 1, 0}}), kUnsupported);
}

TEST_F(BlockRangesTest, DiscardsAllRangesOfARequest) {
  build();
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, {{1, 2, 0}, {10, 1, 0}, {127, 1, 0}}), kOk);
  EXPECT_EQ(disk_->content.substr(512, 1024), std::string(1024, 'd'));
  EXPECT_EQ(disk_->content.substr(10 * 512UL, 512), std::string(512, 'd'));
  EXPECT_EQ(disk_->content.substr(127 * 512UL), std::string(512, 'd'));
  EXPECT_EQ(std::ranges::count(disk_->content, 'd'), 4 * 512);
  EXPECT_EQ(block_->metrics().discard_count, 1U);
}

TEST_F(BlockRangesTest, WritesZeroesAndSaysWhetherToUnmap) {
  build();
  disk_->defer = true;
  ChainBuilder chain = driver_->chain();
  chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_WRITE_ZEROES, .ioprio = 0, .sector = 0});
  chain.in_value(virtio_blk_discard_write_zeroes{.sector = 3, .num_sectors = 2, .flags = 1});
  chain.out(1).push();
  driver_->kick();
  ASSERT_EQ(disk_->waiting.size(), 1U);
  EXPECT_TRUE(disk_->waiting[0].request.may_unmap);
  disk_->complete_one();
  disk_->defer = false;
  EXPECT_EQ(driver_->ring.take_used().size(), 1U);
  EXPECT_EQ(disk_->content.substr(1536, 1024), std::string(1024, '\0'));
  EXPECT_EQ(ask(VIRTIO_BLK_T_WRITE_ZEROES, {{100, 28, 0}}), kOk);
  EXPECT_EQ(block_->metrics().write_zeroes_count, 2U);
}

TEST_F(BlockRangesTest, BadRangesAreRefusedWhole) {
  build();
  for (const std::uint32_t type : {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES}) {
    EXPECT_EQ(ask(type, {}), kIoError);
    EXPECT_EQ(ask(type, {{kSectors, 1, 0}}), kIoError);
    EXPECT_EQ(ask(type, {{kSectors - 1, 2, 0}}), kIoError);
    EXPECT_EQ(ask(type, {{UINT64_MAX, 1, 0}}), kIoError);
    EXPECT_EQ(ask(type, {{0, UINT32_MAX, 0}}), kIoError);
    EXPECT_EQ(ask(type, {{0, 1, 2}}), kUnsupported);
    EXPECT_EQ(ask(type, {{0, 1, UINT32_MAX}}), kUnsupported);
  }
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, {{0, 1, 1}}), kUnsupported);
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, {{0, 1, 0}, {kSectors, 1, 0}}), kIoError) << "not half of it";
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, std::vector<Range>(17, {0, 1, 0})), kIoError);
  EXPECT_EQ(ask(VIRTIO_BLK_T_WRITE_ZEROES, {{0, 1, 0}, {2, 1, 0}}), kIoError);
  // A range that is cut off.
  ChainBuilder chain = driver_->chain();
  chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_DISCARD, .ioprio = 0, .sector = 0});
  const auto head = chain.in(std::string(15, '\0')).out(1).push();
  driver_->kick();
  EXPECT_EQ(driver_->used().head, head);
  EXPECT_EQ(driver_->ring.written(head).back(), kIoError);
  EXPECT_TRUE(disk_->log.empty());
  EXPECT_EQ(disk_->content, std::string(kSectors * 512, '.'));
  build(/*read_only=*/true);
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, {{0, 1, 0}}), kUnsupported);
  EXPECT_EQ(ask(VIRTIO_BLK_T_WRITE_ZEROES, {{0, 1, 0}}), kUnsupported);
  EXPECT_TRUE(disk_->log.empty());
}

TEST_F(BlockRangesTest, OneFailedRangeFailsTheRequestOnce) {
  build();
  disk_->fail_next = true;
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, {{0, 1, 0}, {5, 1, 0}}), kIoError);
  EXPECT_EQ(block_->metrics().execute_fails, 1U);
  EXPECT_EQ(block_->metrics().discard_count, 0U);
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, {{0, 1, 0}}), kOk);
}

TEST_F(BlockRangesTest, SaysTheTopologyOfItsDisk) {
  build(false, {},
        {.block_size = 512,
         .physical_block_size = 4096,
         .optimal_io_size = 65536,
         .can_discard = true,
         .discard_granularity = 4096});
  EXPECT_TRUE(offers(VIRTIO_BLK_F_TOPOLOGY));
  EXPECT_EQ(config().blk_size, 512U);
  EXPECT_EQ(config().physical_block_exp, 3);
  EXPECT_EQ(config().min_io_size, 8);
  EXPECT_EQ(config().opt_io_size, 128U);
  EXPECT_EQ(config().discard_sector_alignment, 8U);
}

TEST_F(BlockRangesTest, ADiskOfLargerBlocksTakesNoSmallerOnes) {
  build(false, {}, {.block_size = 4096, .physical_block_size = 4096, .can_discard = true});
  EXPECT_EQ(config().blk_size, 4096U);
  EXPECT_EQ(config().physical_block_exp, 0);
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, {{8, 8, 0}}), kOk);
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, {{8, 4, 0}}), kIoError);
  EXPECT_EQ(ask(VIRTIO_BLK_T_DISCARD, {{1, 8, 0}}), kIoError);
}

TEST_F(BlockRangesTest, ASerialOfItsOwn) {
  build(false, {.serial = "mote-1"});
  ChainBuilder chain = driver_->chain();
  chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_GET_ID, .ioprio = 0, .sector = 0});
  const auto head = chain.out(20).out(1).push();
  driver_->kick();
  EXPECT_EQ(driver_->used().head, head);
  EXPECT_EQ(driver_->ring.written(head).substr(0, 20), "mote-1" + std::string(14, '\0'));
}

TEST_F(BlockRangesTest, QueuesShareTheDisk) {
  build(false, {.queues = 3});
  EXPECT_TRUE(offers(VIRTIO_BLK_F_MQ));
  EXPECT_EQ(config().num_queues, 3);
  EXPECT_EQ(block_->traits().queue_sizes, std::vector<std::uint16_t>(3, 256));
  TestDriver third(*block_, 16, 0, 2);
  disk_->defer = true;
  for (TestDriver* driver : {driver_.get(), &third}) {
    ChainBuilder chain = driver->chain();
    chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = 0});
    chain.out(512).out(1).push();
    driver->kick();
  }
  block_->kick(1);  // which its driver did not start
  // Each is answered in the queue that it came by.
  disk_->complete_one();
  EXPECT_EQ(driver_->ring.take_used().size(), 1U);
  EXPECT_TRUE(third.ring.take_used().empty());
  const auto queue = block_->stop(2);
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->in_flight(), 0U);
  EXPECT_EQ(third.ring.take_used().size(), 1U);
  EXPECT_FALSE(block_->stop(1));
}

TEST_F(BlockRangesTest, ABatchIsCommittedBeforeItIsShown) {
  build();
  for (int i = 0; i < 5; ++i) {
    ChainBuilder chain = driver_->chain();
    chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = 0});
    chain.out(512).out(1).push();
  }
  driver_->kick();
  EXPECT_GE(disk_->commits, 1);
  EXPECT_EQ(driver_->ring.take_used().size(), 5U);
  EXPECT_EQ(block_->metrics().no_avail_buffer, 0U);
  driver_->kick();
  EXPECT_EQ(block_->metrics().no_avail_buffer, 1U);
  EXPECT_EQ(block_->metrics().read_count, 5U);
  EXPECT_GE(block_->metrics().read_agg.sum_us, block_->metrics().read_agg.max_us);
}

}  // namespace
}  // namespace mote::virtio::test
