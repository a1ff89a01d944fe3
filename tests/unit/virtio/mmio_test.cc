// The mmio transport, driven by its registers, in front of a block device.
#include "virtio/transport/mmio.h"

#include <gtest/gtest.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <sys/epoll.h>

#include "base/event_loop.h"
#include "virtio/block/device.h"
#include "virtio/fake_disk.h"
#include "virtio/mmio_driver.h"

namespace mote::virtio::test {
namespace {

class MmioTest : public ::testing::Test {
 protected:
  MmioTest() {
    auto disk = std::make_unique<FakeDisk>(8);
    disk_ = disk.get();
    block_ = std::make_unique<Block>("drive 'test'", std::move(disk), CacheType::Writeback);
    auto made = Mmio::create(parts());
    if (!made) throw std::runtime_error(made.error().text());
    mmio_ = std::move(*made);
    driver_.emplace(*mmio_);
  }
  Mmio::Parts parts() {
    return {.name = "drive 'test'",
            .device = block_.get(),
            .memory = &memory_,
            .interrupt = &interrupt_,
            .run = [this](const std::function<void()>& task) {
              ++posted_;
              task();
            }};
  }
  std::uint32_t start() { return driver_->start(driver_->offered(), ring_.addresses()); }
  // Pushes a read of the first sector.
  std::uint16_t push_read() {
    return ring_.chain()
        .in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = 0})
        .out(512)
        .out(1)
        .push();
  }
  std::uint32_t interrupt_status() { return driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS); }
  // Since the last time.
  bool notified(std::uint16_t queue) { return drain_eventfd(mmio_->notify_fd(queue)) > 0; }
  // Kicks by the register and serves the eventfd, as the machine does.
  void kick() {
    driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    ASSERT_TRUE(notified(0));
    mmio_->handle_notify(0);
  }

  memory::GuestMemory memory_ = make_memory();
  TestRing ring_{memory_, 16};
  FakeInterrupt interrupt_;
  int posted_ = 0;
  FakeDisk* disk_ = nullptr;
  std::unique_ptr<Block> block_;
  std::unique_ptr<Mmio> mmio_;
  std::optional<MmioDriver> driver_;
};

TEST_F(MmioTest, SaysWhatItIs) {
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976U);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_VERSION), 2U);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_DEVICE_ID), std::uint32_t{VIRTIO_ID_BLOCK});
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_VENDOR_ID), 0U);
  EXPECT_EQ(driver_->offered(), block_->traits().features | kRingFeatures);
  driver_->set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_DEVICE_FEATURES), 0U);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_QUEUE_NUM_MAX), 256U);
  driver_->set(VIRTIO_MMIO_QUEUE_SEL, 1);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_QUEUE_NUM_MAX), 0U);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_QUEUE_READY), 0U);
  EXPECT_EQ(mmio_->metrics().cfg_fails, 0U);
}

TEST_F(MmioTest, HasNoSharedMemory) {
  driver_->set(VIRTIO_MMIO_SHM_SEL, 3);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
}

TEST_F(MmioTest, StartsAndServesARequest) {
  disk_->content.replace(0, 512, std::string(512, 'd'));
  EXPECT_EQ(start(), kDriverOk);
  ring_.set_used_event(0);
  const auto head = push_read();
  kick();
  EXPECT_EQ(ring_.take_used(), (std::vector<Used>{{head, 513}}));
  EXPECT_EQ(ring_.written(head), std::string(512, 'd') + '\0');
  EXPECT_EQ(interrupt_.count, 1);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS), std::uint32_t{VIRTIO_MMIO_INT_VRING});
}

// Nobody reads the eventfd, neither between two kicks nor for one that comes while the first is
// served.
TEST_F(MmioTest, EachKickIsAnEdge) {
  auto loop = EventLoop::create();
  ASSERT_TRUE(loop);
  int kicks = 0;
  auto watch = (*loop)->watch(mmio_->notify_fd(0), EPOLLIN | EPOLLET, [&](std::uint32_t) {
    if (++kicks == 3) driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    mmio_->handle_notify(0);
  });
  ASSERT_TRUE(watch);
  start();
  for (const int heard : {1, 2, 4}) {
    driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    while (*(*loop)->run_once(0)) {
      ASSERT_LE(kicks, heard) << "one that is heard without end";
    }
    EXPECT_EQ(kicks, heard);
  }
}

TEST_F(MmioTest, UsedBuffersAreACauseFromTheFirstOnUntilAReset) {
  start();
  ring_.set_used_event(0);
  push_read();
  EXPECT_EQ(interrupt_status(), 0U);
  kick();
  EXPECT_EQ(interrupt_status(), std::uint32_t{VIRTIO_MMIO_INT_VRING});
  for (const std::uint32_t acknowledged : {VIRTIO_MMIO_INT_VRING, 3, -1}) {
    driver_->set(VIRTIO_MMIO_INTERRUPT_ACK, acknowledged);
    EXPECT_EQ(interrupt_status(), std::uint32_t{VIRTIO_MMIO_INT_VRING});
  }
  mmio_->pause();
  EXPECT_EQ(mmio_->save()->interrupt_status, std::uint32_t{VIRTIO_MMIO_INT_VRING});
  mmio_->resume();
  driver_->set_status(0);
  EXPECT_EQ(interrupt_status(), 0U);
}

TEST_F(MmioTest, AChangeOfConfigurationIsACauseUntilItIsAcknowledged) {
  start();
  for (const std::uint32_t acknowledged : {VIRTIO_MMIO_INT_CONFIG, 3, -1}) {
    mmio_->config_changed();
    driver_->set(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
    EXPECT_EQ(interrupt_status(), std::uint32_t{VIRTIO_MMIO_INT_CONFIG});
    driver_->set(VIRTIO_MMIO_INTERRUPT_ACK, acknowledged);
    EXPECT_EQ(interrupt_status(), 0U);
  }
  EXPECT_EQ(interrupt_.count, 3);
}

TEST_F(MmioTest, ServesWhatWaitedBeforeTheStart) {
  push_read();
  EXPECT_EQ(start(), kDriverOk);
  EXPECT_EQ(ring_.take_used().size(), 1U);
}

TEST_F(MmioTest, OnlyStartsStopsAndResetsGoToTheMachineThread) {
  driver_->negotiate(driver_->offered());
  driver_->set_up_queue(0, ring_.addresses());
  EXPECT_EQ(posted_, 0);
  driver_->set_status(kDriverOk);
  EXPECT_EQ(posted_, 1);
  driver_->set_status(0);
  EXPECT_EQ(posted_, 2);
}

TEST_F(MmioTest, FeaturesThatWereNotOfferedAreRefused) {
  EXPECT_EQ(driver_->negotiate(driver_->offered() | std::uint64_t{1} << 40), kDriver);
  EXPECT_EQ(driver_->negotiate(driver_->offered() & ~(std::uint64_t{1} << VIRTIO_F_VERSION_1)),
            kDriver);
  EXPECT_EQ(mmio_->metrics().refused_writes, 2U);
  // The driver may choose again.
  driver_->acknowledge_features(driver_->offered());
  EXPECT_EQ(driver_->set_status(kFeaturesOk), kFeaturesOk);
}

TEST_F(MmioTest, FeaturesBeyondTheSecondWordAreRefusedUnlessZero) {
  driver_->set_status(kDriver);
  driver_->acknowledge_features(driver_->offered());
  driver_->set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
  driver_->set(VIRTIO_MMIO_DRIVER_FEATURES, 0);
  EXPECT_EQ(driver_->set_status(kFeaturesOk), kFeaturesOk);
  driver_->set_status(0);
  driver_->set_status(kDriver);
  driver_->acknowledge_features(driver_->offered());
  driver_->set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
  driver_->set(VIRTIO_MMIO_DRIVER_FEATURES, 1);
  EXPECT_EQ(driver_->set_status(kFeaturesOk), kDriver);
}

TEST_F(MmioTest, FeaturesAreHeardOnlyWhileTheyAreChosen) {
  driver_->acknowledge_features(driver_->offered());
  EXPECT_EQ(mmio_->metrics().refused_writes, 2U) << "before DRIVER";
  driver_->negotiate(driver_->offered());
  driver_->acknowledge_features(0);
  EXPECT_EQ(mmio_->metrics().refused_writes, 4U) << "after FEATURES_OK";
}

TEST_F(MmioTest, QueuesAreSetUpBetweenFeaturesOkAndDriverOk) {
  driver_->set_status(kDriver);
  driver_->set_up_queue(0, ring_.addresses());
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_QUEUE_READY), 0U);
  EXPECT_EQ(mmio_->metrics().refused_writes, 8U);
  start();
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_QUEUE_READY), 1U);
  const auto before = mmio_->metrics().refused_writes;
  driver_->set(VIRTIO_MMIO_QUEUE_NUM, 8);
  driver_->set(VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1000);
  EXPECT_EQ(mmio_->metrics().refused_writes, before + 2);
  push_read();
  kick();
  EXPECT_EQ(ring_.take_used().size(), 1U) << "the queue is where it was";
}

TEST_F(MmioTest, QueuesThatDoNotExistAreRefused) {
  driver_->negotiate(driver_->offered());
  driver_->set_up_queue(1, ring_.addresses());
  driver_->set_up_queue(UINT32_MAX, ring_.addresses());
  EXPECT_EQ(mmio_->metrics().refused_writes, 16U);
  driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
  driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);
  EXPECT_EQ(mmio_->metrics().refused_writes, 18U);
}

TEST_F(MmioTest, AQueueAtABadPlaceNeedsAReset) {
  QueueAddresses addresses = ring_.addresses();
  addresses.device = kLowEnd;
  EXPECT_EQ(driver_->start(driver_->offered(), addresses), kDriverOk | kNeedsReset);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS), std::uint32_t{VIRTIO_MMIO_INT_CONFIG});
  EXPECT_EQ(interrupt_.count, 1);
  EXPECT_EQ(mmio_->metrics().activate_fails, 1U);
  kick();  // is for nothing
  // The same with a size that only looks right when cut to 16 bits.
  addresses = ring_.addresses();
  addresses.size = 0x10010;
  EXPECT_EQ(driver_->start(driver_->offered(), addresses), kDriverOk | kNeedsReset);
  // And a reset mends it.
  EXPECT_EQ(start(), kDriverOk);
  push_read();
  kick();
  EXPECT_EQ(ring_.take_used().size(), 1U);
}

TEST_F(MmioTest, ALyingRingNeedsAResetAndNothingElse) {
  start();
  ring_.offer(16);
  kick();
  EXPECT_EQ(driver_->status(), kDriverOk | kNeedsReset);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS), std::uint32_t{VIRTIO_MMIO_INT_CONFIG});
  EXPECT_EQ(mmio_->metrics().rings_broken, 1U);
  EXPECT_FALSE(block_->stop(0)) << "its queues are stopped";
  kick();
  EXPECT_EQ(mmio_->metrics().rings_broken, 1U);
  EXPECT_EQ(driver_->set_status(0), 0U);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS), 0U);
  TestRing fresh(memory_, 16);
  EXPECT_EQ(driver_->start(driver_->offered(), fresh.addresses()), kDriverOk);
}

TEST_F(MmioTest, ResetForgetsTheDriver) {
  start();
  driver_->set_status(0);
  EXPECT_EQ(driver_->status(), 0U);
  driver_->set(VIRTIO_MMIO_QUEUE_SEL, 0);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_QUEUE_READY), 0U);
  EXPECT_EQ(mmio_->metrics().resets, 1U);
  EXPECT_FALSE(block_->stop(0));
  // A queue that is not set up again does not run.
  driver_->negotiate(driver_->offered());
  EXPECT_EQ(driver_->set_status(kDriverOk), kDriverOk);
  EXPECT_FALSE(block_->stop(0));
}

TEST_F(MmioTest, ResetWithRequestsInFlightWaitsForThem) {
  start();
  disk_->defer = true;
  push_read();
  kick();
  EXPECT_EQ(disk_->waiting.size(), 1U);
  EXPECT_EQ(driver_->set_status(0), 0U);
  EXPECT_TRUE(disk_->waiting.empty());
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS), 0U) << "what was pending is void";
}

TEST_F(MmioTest, QueueReadyZeroTakesARunningQueueBack) {
  start();
  driver_->set(VIRTIO_MMIO_QUEUE_READY, 0);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_QUEUE_READY), 0U);
  EXPECT_EQ(driver_->status(), kDriverOk);
  push_read();
  kick();
  EXPECT_TRUE(ring_.take_used().empty());
  driver_->set(VIRTIO_MMIO_QUEUE_READY, 1);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_QUEUE_READY), 0U) << "until a reset";
}

TEST_F(MmioTest, ConfigurationSpaceOfEveryWidth) {
  EXPECT_EQ(driver_->get_as<std::uint64_t>(VIRTIO_MMIO_CONFIG), 8U);
  EXPECT_EQ(driver_->get_as<std::uint32_t>(VIRTIO_MMIO_CONFIG + 12), 254U);
  EXPECT_EQ(driver_->get_as<std::uint16_t>(VIRTIO_MMIO_CONFIG + 12), 254U);
  EXPECT_EQ(driver_->get_as<std::uint8_t>(VIRTIO_MMIO_CONFIG + 21), 2U);
  EXPECT_EQ(driver_->get_as<std::uint32_t>(VIRTIO_MMIO_CONFIG + 21), 2U) << "not aligned";
  EXPECT_EQ(mmio_->metrics().cfg_fails, 0U);
  const std::uint64_t end = VIRTIO_MMIO_CONFIG + sizeof(virtio_blk_config);
  EXPECT_EQ(driver_->get_as<std::uint8_t>(end), 0xff);
  EXPECT_EQ(driver_->get_as<std::uint64_t>(end - 4) >> 32, UINT32_MAX);
  EXPECT_EQ(driver_->get_as<std::uint32_t>(Mmio::kSize - 4), UINT32_MAX);
  EXPECT_EQ(driver_->get_as<std::uint64_t>(Mmio::kSize - 4), UINT64_MAX);
  EXPECT_EQ(mmio_->metrics().cfg_fails, 0U);
  driver_->set_as<std::uint8_t>(VIRTIO_MMIO_CONFIG, 1);
  driver_->set_as<std::uint64_t>(end - 1, 1);
  driver_->set_as<std::uint64_t>(Mmio::kSize - 8, 1);
  EXPECT_EQ(mmio_->metrics().cfg_fails, 3U);
  EXPECT_EQ(driver_->get_as<std::uint64_t>(VIRTIO_MMIO_CONFIG), 8U);
}

TEST_F(MmioTest, EveryAccessAnywhereIsHarmless) {
  for (std::uint64_t offset = 0; offset < VIRTIO_MMIO_CONFIG; ++offset) {
    const auto byte = driver_->get_as<std::uint8_t>(offset);
    EXPECT_EQ(driver_->get_as<std::uint16_t>(offset) & 0xff, byte) << offset;
    EXPECT_EQ(driver_->get_as<std::uint64_t>(offset) & 0xff, byte) << offset;
    driver_->set_as<std::uint8_t>(offset, 0xff);
    driver_->set_as<std::uint16_t>(offset, 0xffff);
    driver_->set_as<std::uint64_t>(offset, 15);
    if (offset % 4 != 0) driver_->set(offset, 15);
  }
  EXPECT_EQ(driver_->status(), 0U);
  EXPECT_EQ(mmio_->metrics().cfg_fails, 256U * 3 + 192);
  for (std::uint64_t offset = 0; offset < Mmio::kSize; offset += 4) {
    static_cast<void>(driver_->get(offset));
    driver_->set(offset, UINT32_MAX);
  }
  driver_->set(VIRTIO_MMIO_STATUS, 0);
  EXPECT_EQ(start(), kDriverOk);
}

TEST_F(MmioTest, AChangedConfigurationIsTold) {
  start();
  const auto generation = driver_->get(VIRTIO_MMIO_CONFIG_GENERATION);
  mmio_->config_changed();
  EXPECT_NE(driver_->get(VIRTIO_MMIO_CONFIG_GENERATION), generation);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS), std::uint32_t{VIRTIO_MMIO_INT_CONFIG});
  driver_->set_status(0);
  mmio_->config_changed();
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS), 0U) << "no driver is there to be told";
}

}  // namespace
}  // namespace mote::virtio::test
