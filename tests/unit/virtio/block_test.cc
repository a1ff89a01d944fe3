// The block device over a disk in memory.
#include <gtest/gtest.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include <limits>

#include "log_lines.h"
#include "virtio/block/device.h"
#include "virtio/fake_disk.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

using storage::Op;

constexpr std::uint64_t kFlush = std::uint64_t{1} << VIRTIO_BLK_F_FLUSH;
constexpr char kOk = VIRTIO_BLK_S_OK;
constexpr char kIoError = VIRTIO_BLK_S_IOERR;
constexpr char kUnsupported = VIRTIO_BLK_S_UNSUPP;
constexpr std::uint64_t kSectors = 64;

virtio_blk_outhdr header(std::uint32_t type, std::uint64_t sector = 0) {
  return {.type = type, .ioprio = 0, .sector = sector};
}

std::string sector_of(char c) { return std::string(512, c); }

class BlockTest : public ::testing::Test {
 protected:
  void build(CacheType cache = CacheType::Writeback, std::uint64_t acknowledged = kFlush,
             bool read_only = false) {
    auto disk = std::make_unique<FakeDisk>(kSectors);
    disk_ = disk.get();
    disk_->protect = read_only;
    block_ = std::make_unique<Block>("drive 'test'", std::move(disk), cache);
    driver_ = std::make_unique<TestDriver>(*block_, 256, acknowledged);
  }
  void TearDown() override { driver_.reset(); }

  // Pushes, kicks, and expects one answer: the bytes that the device wrote, status last.
  struct Answer {
    std::string data;
    char status = '?';
    std::uint32_t length = 0;
  };
  Answer ask(ChainBuilder& chain) {
    const auto head = chain.push();
    driver_->kick();
    const Used used = driver_->used();
    EXPECT_EQ(used.head, head);
    std::string data = driver_->ring.written(head);
    Answer answer{.data = {}, .status = data.back(), .length = used.length};
    data.pop_back();
    answer.data = std::move(data);
    return answer;
  }
  Answer ask(ChainBuilder&& chain) { return ask(chain); }
  ChainBuilder request(std::uint32_t type, std::uint64_t sector = 0) {
    ChainBuilder chain = driver_->chain();
    chain.in_value(header(type, sector));
    return chain;
  }

  FakeDisk* disk_ = nullptr;
  std::unique_ptr<Block> block_;
  std::unique_ptr<TestDriver> driver_;
};

TEST_F(BlockTest, SaysWhatItIs) {
  build();
  const DeviceTraits traits = block_->traits();
  EXPECT_EQ(traits.type, std::uint32_t{VIRTIO_ID_BLOCK});
  EXPECT_EQ(traits.queue_sizes, std::vector<std::uint16_t>{256});
  EXPECT_NE(traits.features & kFlush, 0U);
  EXPECT_EQ(traits.features >> VIRTIO_BLK_F_RO & 1, 0U);
  virtio_blk_config config{};
  ASSERT_EQ(traits.config_size, sizeof config);
  block_->read_config(0, std::as_writable_bytes(std::span(&config, 1)));
  EXPECT_EQ(config.capacity, kSectors);
  EXPECT_EQ(config.seg_max, 254U);
  EXPECT_EQ(config.blk_size, 512U);
  EXPECT_FALSE(block_->write_config(0, std::as_bytes(std::span(&config, 1))));
}

TEST_F(BlockTest, ReadsIntoAllBuffers) {
  build();
  disk_->content.replace(512, 1024, sector_of('a') + sector_of('b'));
  const Answer answer = ask(request(VIRTIO_BLK_T_IN, 1).out(100).out(500).out(424).out(1));
  EXPECT_EQ(answer.status, kOk);
  EXPECT_EQ(answer.length, 1025U);
  EXPECT_EQ(answer.data, sector_of('a') + sector_of('b'));
  EXPECT_EQ(block_->metrics().read_count, 1U);
  EXPECT_EQ(block_->metrics().read_bytes, 1024U);
}

TEST_F(BlockTest, WritesFromAllBuffers) {
  build();
  const Answer answer =
      ask(request(VIRTIO_BLK_T_OUT, 63).in(std::string(200, 'x')).in(std::string(312, 'y')).out(1));
  EXPECT_EQ(answer.status, kOk);
  EXPECT_EQ(answer.length, 1U);
  EXPECT_EQ(disk_->content.substr(63 * 512), std::string(200, 'x') + std::string(312, 'y'));
  EXPECT_EQ(block_->metrics().write_bytes, 512U);
  EXPECT_EQ(disk_->log, std::vector{Op::kWrite});
}

// VIRTIO 1.2, 2.7.4: a device makes no assumption on how a message is split.
TEST_F(BlockTest, FramingDoesNotMatter) {
  build();
  const auto head = header(VIRTIO_BLK_T_OUT, 2);
  const std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
  const std::string message = bytes + sector_of('w');
  for (const std::size_t cut : {1U, 7U, 16U, 17U, 300U, 527U}) {
    disk_->content.assign(disk_->content.size(), '.');
    const Answer answer =
        ask(driver_->chain().in(message.substr(0, cut)).in(message.substr(cut)).out(1));
    EXPECT_EQ(answer.status, kOk) << cut;
    EXPECT_EQ(disk_->content.substr(1024, 512), sector_of('w')) << cut;
  }
  // Everything byte by byte, through a table; the status shares a buffer with the data.
  ChainBuilder chain = driver_->chain();
  const auto read = header(VIRTIO_BLK_T_IN, 2);
  for (std::size_t i = 0; i < sizeof read; ++i) {
    chain.in({reinterpret_cast<const char*>(&read) + i, 1});
  }
  const Answer answer = ask(chain.out(1).out(510).out(2).indirect());
  EXPECT_EQ(answer.status, kOk);
  EXPECT_EQ(answer.data, sector_of('w'));
  EXPECT_EQ(answer.length, 513U);
}

TEST_F(BlockTest, ReadsThe254SegmentsThatItPromises) {
  build();
  ChainBuilder chain = request(VIRTIO_BLK_T_IN);
  for (int i = 0; i < 254; ++i) chain.out(i < 253 ? 64 : 64 + 128);
  const Answer answer = ask(chain.out(1).indirect());
  EXPECT_EQ(answer.status, kOk);
  EXPECT_EQ(answer.data, std::string(std::size_t{254} * 64 + 128, '.'));
}

TEST_F(BlockTest, FlushesWhenAskedTo) {
  build();
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_FLUSH).out(1)).status, kOk);
  EXPECT_EQ(disk_->log, std::vector{Op::kFlush});
  EXPECT_EQ(block_->metrics().flush_count, 1U);
}

TEST_F(BlockTest, UnsafeCacheHasNoFlush) {
  build(CacheType::Unsafe, 0);
  EXPECT_EQ(block_->traits().features & kFlush, 0U);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_FLUSH).out(1)).status, kUnsupported);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_OUT).in(sector_of('x')).out(1)).status, kOk);
  EXPECT_EQ(disk_->log, std::vector{Op::kWrite});
}

TEST_F(BlockTest, WritesThroughForADriverThatDoesNotFlush) {
  build(CacheType::Writeback, 0);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_OUT).in(sector_of('x')).out(1)).status, kOk);
  EXPECT_EQ(disk_->log, (std::vector{Op::kWrite, Op::kFlush}));
  EXPECT_EQ(block_->metrics().write_count, 1U);
  EXPECT_EQ(block_->metrics().flush_count, 0U);
}

TEST_F(BlockTest, SaysItsId) {
  build();
  disk_->id = "2049123456789";
  const Answer answer = ask(request(VIRTIO_BLK_T_GET_ID).out(20).out(1));
  EXPECT_EQ(answer.status, kOk);
  EXPECT_EQ(answer.data, "2049123456789" + std::string(7, '\0'));
  EXPECT_EQ(answer.length, 21U);
  disk_->id = "123456789012345678901234567890";
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_GET_ID).out(20).out(1)).data, "12345678901234567890");
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_GET_ID).out(19).out(1)).status, kIoError);
}

TEST_F(BlockTest, ReadOnlyRefusesWritesAndSaysSo) {
  build(CacheType::Unsafe, 0, /*read_only=*/true);
  EXPECT_EQ(block_->traits().features >> VIRTIO_BLK_F_RO & 1, 1U);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_OUT).in(sector_of('x')).out(1)).status, kIoError);
  EXPECT_EQ(disk_->content[0], '.');
  EXPECT_TRUE(disk_->log.empty());
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_IN).out(512).out(1)).status, kOk);
}

TEST_F(BlockTest, BadRequestsAreAnsweredAndTouchNoDisk) {
  build();
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_IN, kSectors).out(512).out(1)).status, kIoError);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_IN, kSectors - 1).out(1024).out(1)).status, kIoError);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_IN, kMax).out(512).out(1)).status, kIoError);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_IN, kMax / 512 + 1).out(512).out(1)).status, kIoError);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_OUT, kMax - 7).in(sector_of('x')).out(1)).status, kIoError);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_IN).out(511).out(1)).status, kIoError);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_OUT).in("x").out(1)).status, kIoError);
  EXPECT_EQ(ask(driver_->chain().in(std::string(15, '\0')).out(513)).status, kIoError);
  EXPECT_EQ(ask(driver_->chain().out(513)).status, kIoError);
  EXPECT_EQ(block_->metrics().invalid_reqs_count, 9U);
  for (const std::uint32_t type :
       {std::uint32_t{2}, std::uint32_t{VIRTIO_BLK_T_SECURE_ERASE}, std::uint32_t{UINT32_MAX}}) {
    const Answer answer = ask(request(type).out(512).out(1));
    EXPECT_EQ(answer.status, kUnsupported) << type;
    EXPECT_EQ(answer.length, 1U);
    EXPECT_EQ(answer.data, std::string(512, '?'));
  }
  EXPECT_TRUE(disk_->log.empty());
  EXPECT_EQ(driver_->host.breaks, 0) << "a bad request is not a lying ring";
}

TEST_F(BlockTest, WithoutRoomForAStatusTheLengthIsZero) {
  build();
  const auto head = request(VIRTIO_BLK_T_OUT).in(sector_of('x')).push();
  driver_->kick();
  EXPECT_EQ(driver_->used(), (Used{head, 0}));
  EXPECT_EQ(block_->metrics().invalid_reqs_count, 1U);
  EXPECT_EQ(disk_->content[0], '.');
}

TEST_F(BlockTest, AReadOfNothingSucceeds) {
  build();
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_IN, kSectors).out(1)).status, kOk);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_IN, kSectors + 1).out(1)).status, kIoError);
}

TEST_F(BlockTest, AHostThatFailsIsAnIoErrorAndCounted) {
  build();
  disk_->fail_next = true;
  const Answer answer = ask(request(VIRTIO_BLK_T_IN).out(512).out(1));
  EXPECT_EQ(answer.status, kIoError);
  EXPECT_EQ(answer.length, 1U);
  EXPECT_EQ(block_->metrics().execute_fails, 1U);
  EXPECT_EQ(block_->metrics().read_count, 0U);
  EXPECT_EQ(ask(request(VIRTIO_BLK_T_IN).out(512).out(1)).status, kOk);
}

TEST_F(BlockTest, AHostThatFailsOverAndOverIsLoggedOnce) {
  build();
  const mote::test::LogLines log;
  disk_->failing = true;
  for (std::uint64_t sector = 0; sector < 20; ++sector) {
    EXPECT_EQ(ask(request(VIRTIO_BLK_T_OUT, sector).in(sector_of('w')).out(1)).status, kIoError);
  }
  EXPECT_EQ(block_->metrics().execute_fails, 20U);
  EXPECT_EQ(log.count("drive 'test': the fake disk fails at 0"), 1);
  EXPECT_EQ(log.count("\n"), 1);
}

TEST_F(BlockTest, ABatchIsOneInterrupt) {
  build();
  driver_->ring.set_used_event(0);
  for (int i = 0; i < 20; ++i) request(VIRTIO_BLK_T_IN).out(512).out(1).push();
  driver_->kick();
  EXPECT_EQ(driver_->ring.take_used().size(), 20U);
  EXPECT_EQ(driver_->host.interrupts, 1);
}

TEST_F(BlockTest, RequestsMayCompleteLaterAndInterruptThen) {
  build();
  disk_->defer = true;
  disk_->content.replace(0, 512, sector_of('q'));
  const auto read = request(VIRTIO_BLK_T_IN).out(512).out(1).push();
  const auto write = request(VIRTIO_BLK_T_OUT, 5).in(sector_of('z')).out(1).push();
  driver_->kick();
  EXPECT_TRUE(driver_->ring.take_used().empty());
  disk_->complete_one();
  EXPECT_EQ(driver_->used(), (Used{read, 513}));
  EXPECT_EQ(driver_->host.interrupts, 1);
  EXPECT_EQ(driver_->ring.written(read), sector_of('q') + kOk);
  disk_->complete_one();
  EXPECT_EQ(driver_->used(), (Used{write, 1}));
}

TEST_F(BlockTest, StopWaitsForWhatIsInFlight) {
  build();
  disk_->defer = true;
  for (int i = 0; i < 3; ++i) request(VIRTIO_BLK_T_IN).out(512).out(1).push();
  driver_->kick();
  const auto queue = block_->stop(0);
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->in_flight(), 0U);
  EXPECT_EQ(queue->forgotten(), 0U);
  EXPECT_EQ(driver_->ring.take_used().size(), 3U);
  EXPECT_EQ(disk_->drains, 1);
  block_->kick(0);  // for nothing, as a kick may be
  EXPECT_FALSE(block_->stop(0));
}

TEST_F(BlockTest, ALyingRingStopsServingButLeavesWhatWasDone) {
  build();
  const auto good = request(VIRTIO_BLK_T_IN).out(512).out(1).push();
  driver_->ring.offer(999);
  driver_->kick();
  EXPECT_EQ(driver_->used().head, good);
  EXPECT_EQ(driver_->host.breaks, 1);
}

}  // namespace
}  // namespace mote::virtio::test
