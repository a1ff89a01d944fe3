// Live changes of a block device: another disk, another size; and the io_uring engine under it.
#include <gtest/gtest.h>
#include <linux/virtio_blk.h>

#include <filesystem>

#include "storage/raw_file.h"
#include "storage/temp_file.h"
#include "storage/uring_disk.h"
#include "virtio/block/device.h"
#include "virtio/fake_disk.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

using storage::test::TempFile;

class BlockLiveTest : public ::testing::Test {
 protected:
  void adopt(std::unique_ptr<Block> block) {
    block_ = std::move(block);
    block_->set_config_listener([this] { ++changes_; });
    driver_ = std::make_unique<TestDriver>(*block_, 256, std::uint64_t{1} << VIRTIO_BLK_F_FLUSH);
  }
  void TearDown() override { driver_.reset(); }
  FakeDisk* fake(std::uint64_t sectors, char content = '.') {
    auto disk = std::make_unique<FakeDisk>(sectors);
    FakeDisk* const view = disk.get();
    view->content.assign(view->content.size(), content);
    disk_ = std::move(disk);
    return view;
  }
  std::uint64_t capacity() {
    virtio_blk_config config{};
    block_->read_config(0, std::as_writable_bytes(std::span(&config, 1)));
    return config.capacity;
  }
  std::uint16_t push_read(std::uint64_t sector, std::uint32_t bytes = 512) {
    ChainBuilder chain = driver_->chain();
    chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = sector});
    return chain.out(bytes).out(1).push();
  }
  // The first byte that a read of one sector yields, or '!' with an error.
  char read(std::uint64_t sector) {
    const auto head = push_read(sector);
    driver_->kick();
    std::vector<Used> used = driver_->ring.take_used();
    while (used.empty() && *services_.loop->run_once(2000)) used = driver_->ring.take_used();
    EXPECT_EQ(used.size(), 1U);
    const std::string bytes = driver_->ring.written(head);
    return bytes.back() == VIRTIO_BLK_S_OK ? bytes.front() : '!';
  }

  TestServices services_;
  std::unique_ptr<storage::Disk> disk_;
  std::unique_ptr<Block> block_;
  std::unique_ptr<TestDriver> driver_;
  int changes_ = 0;
};

TEST_F(BlockLiveTest, AnotherDiskTakesOverAndTheDriverHearsOfIt) {
  FakeDisk* old = fake(64, 'a');
  adopt(std::make_unique<Block>("the disk", std::move(disk_), CacheType::Writeback));
  old->defer = true;
  const auto under_way = push_read(3);
  driver_->kick();
  fake(128, 'b');
  ASSERT_TRUE(block_->replace_disk(std::move(disk_)));
  // What was under way was done by the old one.
  EXPECT_EQ(driver_->used().head, under_way);
  EXPECT_EQ(driver_->ring.written(under_way).front(), 'a');
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(capacity(), 128U);
  EXPECT_EQ(read(100), 'b');
  EXPECT_EQ(block_->metrics().update_count, 1U);
  EXPECT_EQ(block_->save().sectors, 128U);
  // And a smaller one.
  fake(8, 'c');
  ASSERT_TRUE(block_->replace_disk(std::move(disk_)));
  EXPECT_EQ(read(100), '!');
  EXPECT_EQ(read(7), 'c');
}

TEST_F(BlockLiveTest, ADiskThatDoesNotFitLeavesTheOldOne) {
  fake(64, 'a');
  adopt(std::make_unique<Block>("the disk", std::move(disk_), CacheType::Writeback));
  fake(64, 'b')->protect = true;
  EXPECT_FALSE(block_->replace_disk(std::move(disk_)));
  fake(64, 'b')->facts.block_size = 4096;
  EXPECT_FALSE(block_->replace_disk(std::move(disk_)));
  EXPECT_FALSE(block_->replace_disk("/nonexistent/x.img")) << "it was made of no file";
  EXPECT_EQ(read(1), 'a');
  EXPECT_EQ(changes_, 0);
  EXPECT_EQ(block_->metrics().update_count, 0U);
  EXPECT_EQ(block_->metrics().update_fails, 2U);
}

TEST_F(BlockLiveTest, AGrownFileIsAnnounced) {
  FakeDisk* disk = fake(64, 'a');
  adopt(std::make_unique<Block>("the disk", std::move(disk_), CacheType::Writeback));
  ASSERT_TRUE(block_->refresh());
  EXPECT_EQ(changes_, 0) << "nothing changed";
  disk->grow_to = 512UL * 100;
  ASSERT_TRUE(block_->refresh());
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(capacity(), 100U);
  EXPECT_EQ(read(99), '.');
  disk->fail_next = true;
  EXPECT_FALSE(block_->refresh());
  EXPECT_EQ(capacity(), 100U);
  EXPECT_EQ(block_->metrics().update_fails, 1U);
}

TEST_F(BlockLiveTest, APathIsOpenedAsTheFirstWas) {
  for (const IoEngine engine : {IoEngine::Sync, IoEngine::Async}) {
    driver_.reset();
    changes_ = 0;
    const TempFile first(std::string(8192, '1'));
    const TempFile second(std::string(65536, '2'));
    auto made = Block::create(
        {.drive_id = "data", .path_on_host = first.path(), .io_engine = engine}, services_.get());
    ASSERT_TRUE(made) << made.error().text();
    adopt(std::move(*made));
    EXPECT_EQ(read(15), '1');
    const auto missing = block_->replace_disk("/nonexistent/x.img");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
    EXPECT_FALSE(block_->replace_disk(std::string("a\0b", 3)));
    EXPECT_EQ(read(15), '1');
    ASSERT_TRUE(block_->replace_disk(second.path()));
    EXPECT_EQ(capacity(), 128U);
    EXPECT_EQ(read(127), '2');
    std::filesystem::resize_file(second.path(), 131072);
    ASSERT_TRUE(block_->replace_disk(second.path())) << "the same path: a look at its size";
    EXPECT_EQ(capacity(), 256U);
    EXPECT_EQ(changes_, 2);
  }
}

// The ring under the device
// ------------------------------------------------------------------------------------------------

class BlockUringTest : public BlockLiveTest {
 protected:
  explicit BlockUringTest() : file_(std::string(1 << 20, 'x')) {
    auto raw = storage::RawFile::open(file_.path(), storage::Access::kReadWrite,
                                      storage::Cache::kBuffered);
    raw->in_memory = false;
    adopt(std::make_unique<Block>(
        "the disk", std::move(*storage::UringDisk::create(std::move(*raw), *services_.loop)),
        CacheType::Writeback));
  }
  std::uint16_t push_write(std::uint64_t sector, const std::string& bytes) {
    ChainBuilder chain = driver_->chain();
    chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_OUT, .ioprio = 0, .sector = sector});
    return chain.in(bytes).out(1).push();
  }
  TempFile file_;
};

TEST_F(BlockUringTest, AFullQueueIsAnsweredWithoutAnotherKick) {
  constexpr std::size_t kCount = 80;
  std::vector<std::uint16_t> heads;
  for (std::size_t i = 0; i < kCount; ++i) {
    heads.push_back(push_write(i, std::string(512, static_cast<char>('A' + i % 26))));
  }
  driver_->kick();
  std::vector<Used> used = driver_->ring.take_used();
  while (used.size() < kCount) {
    ASSERT_TRUE(*services_.loop->run_once(5000)) << used.size();
    for (const Used& one : driver_->ring.take_used()) used.push_back(one);
  }
  for (const auto head : heads) EXPECT_EQ(driver_->ring.written(head).back(), VIRTIO_BLK_S_OK);
  const std::string content = file_.content();
  for (std::size_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(content[512 * i], static_cast<char>('A' + i % 26)) << i;
  }
  EXPECT_GE(driver_->host.interrupts, 1);
}

TEST_F(BlockUringTest, StopHasNothingLeftInFlight) {
  for (std::size_t i = 0; i < 80; ++i) push_write(i, std::string(512, 'w'));
  driver_->kick();
  const auto queue = block_->stop(0);
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->in_flight(), 0U);
  EXPECT_EQ(queue->forgotten(), 0U);
  EXPECT_EQ(driver_->ring.take_used().size(), 80U);
  EXPECT_EQ(file_.content().substr(0, 80UL * 512), std::string(80UL * 512, 'w'));
}

TEST_F(BlockUringTest, AnErrorOfTheHostIsTheGuests) {
  std::filesystem::resize_file(file_.path(), 512);
  EXPECT_EQ(read(100), '!');
  EXPECT_EQ(block_->metrics().execute_fails, 1U);
  EXPECT_EQ(read(0), 'x');
}

}  // namespace
}  // namespace mote::virtio::test
