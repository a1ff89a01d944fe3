// What a guest finds in the memory that it reads its devices' registers from, at every step of a
// device's life, and what the pieces of a machine leave there that is nobody's.
#include "virtio/transport/register_page.h"

#include <gtest/gtest.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_mmio.h>

#include "virtio/block/device.h"
#include "virtio/fake_disk.h"
#include "virtio/mmio_driver.h"

namespace mote::virtio::test {
namespace {

class RegisterPageTest : public ::testing::Test {
 protected:
  RegisterPageTest() {
    auto disk = std::make_unique<FakeDisk>(64);
    disk_ = disk.get();
    block_ = std::make_unique<Block>("drive 'test'", std::move(disk), CacheType::Writeback);
    mmio_ = std::move(*Mmio::create(parts()));
    driver_.emplace(*mmio_);
  }
  Mmio::Parts parts() {
    return {.name = "the device",
            .device = block_.get(),
            .memory = &memory_,
            .interrupt = &interrupt_,
            .run = [](const std::function<void()>& task) { task(); },
            .page = page_.data()};
  }
  // As the guest reads it.
  template <typename T = std::uint32_t>
  T seen(std::uint64_t offset) const {
    T value{};
    std::memcpy(&value, page_.data() + offset, sizeof value);
    return value;
  }
  std::uint64_t capacity() const {
    return seen<std::uint64_t>(VIRTIO_MMIO_CONFIG + offsetof(virtio_blk_config, capacity));
  }

  alignas(RegisterPage::kSize) std::array<std::byte, RegisterPage::kSize> page_{};
  memory::GuestMemory memory_ = make_memory();
  TestRing ring_{memory_, 16};
  FakeInterrupt interrupt_;
  FakeDisk* disk_ = nullptr;
  std::unique_ptr<Block> block_;
  std::unique_ptr<Mmio> mmio_;
  std::optional<MmioDriver> driver_;
};

TEST_F(RegisterPageTest, SaysAtOnceWhatTheDeviceIs) {
  EXPECT_EQ(seen(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976U);
  EXPECT_EQ(seen(VIRTIO_MMIO_VERSION), 2U);
  EXPECT_EQ(seen(VIRTIO_MMIO_DEVICE_ID), 2U);
  EXPECT_EQ(seen(VIRTIO_MMIO_STATUS), 0U);
  EXPECT_EQ(seen(VIRTIO_MMIO_INTERRUPT_STATUS), 0U);
  EXPECT_EQ(seen(VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
  EXPECT_EQ(seen(VIRTIO_MMIO_QUEUE_NOTIFY), UINT32_MAX) << "nothing to read";
  EXPECT_EQ(capacity(), 64U);
  EXPECT_EQ(seen<std::uint8_t>(VIRTIO_MMIO_CONFIG + sizeof(virtio_blk_config)), 0xff);
}

TEST_F(RegisterPageTest, FollowsWhatIsSelected) {
  const std::uint64_t offered = block_->traits().features | kRingFeatures;
  for (const std::uint32_t word : {1U, 0U}) {
    driver_->set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
    EXPECT_EQ(seen(VIRTIO_MMIO_DEVICE_FEATURES),
              static_cast<std::uint32_t>(offered >> (32 * word)));
  }
  EXPECT_EQ(seen(VIRTIO_MMIO_QUEUE_NUM_MAX), 256U);
  driver_->set(VIRTIO_MMIO_QUEUE_SEL, 5);
  EXPECT_EQ(seen(VIRTIO_MMIO_QUEUE_NUM_MAX), 0U);
  EXPECT_EQ(seen(VIRTIO_MMIO_QUEUE_READY), 0U);
}

TEST_F(RegisterPageTest, FollowsTheDevicesLife) {
  driver_->start(driver_->offered(), ring_.addresses());
  EXPECT_EQ(seen(VIRTIO_MMIO_STATUS), kDriverOk);
  EXPECT_EQ(seen(VIRTIO_MMIO_QUEUE_READY), 1U);
  const auto generation = seen(VIRTIO_MMIO_CONFIG_GENERATION);
  disk_->grow_to = 512UL * 1000;
  ASSERT_TRUE(block_->refresh());
  EXPECT_EQ(capacity(), 1000U);
  EXPECT_NE(seen(VIRTIO_MMIO_CONFIG_GENERATION), generation);
  EXPECT_EQ(seen(VIRTIO_MMIO_INTERRUPT_STATUS), std::uint32_t{VIRTIO_MMIO_INT_CONFIG});
  driver_->set(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
  EXPECT_EQ(seen(VIRTIO_MMIO_INTERRUPT_STATUS), 0U);
  ring_.offer(999);
  mmio_->handle_notify(0);
  EXPECT_EQ(seen(VIRTIO_MMIO_STATUS), kDriverOk | kNeedsReset);
  driver_->set(VIRTIO_MMIO_STATUS, 0);
  EXPECT_EQ(seen(VIRTIO_MMIO_STATUS), 0U);
  EXPECT_EQ(seen(VIRTIO_MMIO_QUEUE_READY), 0U);
  EXPECT_EQ(seen(VIRTIO_MMIO_INTERRUPT_STATUS), 0U);
}

// A vCPU that is interrupted finds the cause in memory, whenever it looks.
TEST_F(RegisterPageTest, HasTheCauseBeforeTheInterrupt) {
  struct Looking final : bus::Interrupt {
    void trigger() override { look(); }
    std::function<void()> look;
  } looking;
  std::uint32_t cause = 0;
  std::uint32_t status = 0;
  looking.look = [&] {
    cause = seen(VIRTIO_MMIO_INTERRUPT_STATUS);
    status = seen(VIRTIO_MMIO_STATUS);
  };
  mmio_.reset();
  auto with_it = parts();
  with_it.interrupt = &looking;
  mmio_ = std::move(*Mmio::create(std::move(with_it)));
  driver_.emplace(*mmio_);
  driver_->start(driver_->offered(), ring_.addresses());
  ring_.set_used_event(0);
  ring_.chain()
      .in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = 0})
      .out(512)
      .out(1)
      .push();
  mmio_->handle_notify(0);
  EXPECT_EQ(cause, std::uint32_t{VIRTIO_MMIO_INT_VRING});
  ring_.offer(999);
  mmio_->handle_notify(0);
  EXPECT_EQ(cause, std::uint32_t{VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG});
  EXPECT_EQ(status, kDriverOk | kNeedsReset);
}

TEST_F(RegisterPageTest, IsWhatItWasInARestoredMachine) {
  driver_->start(driver_->offered(), ring_.addresses());
  driver_->set(VIRTIO_MMIO_QUEUE_SEL, 3);
  mmio_->config_changed();
  mmio_->pause();
  const auto state = mmio_->save();
  ASSERT_TRUE(state);
  const auto before = page_;
  mmio_.reset();
  mmio_ = std::move(*Mmio::restore(parts(), *state));
  EXPECT_EQ(page_, before);
}

// A device whose queues another process runs: that one says nothing of what it interrupts for.
TEST_F(RegisterPageTest, QueuesElsewhereAreAlwaysACause) {
  struct Elsewhere final : Device {
    DeviceTraits traits() const override {
      return {.type = 2, .features = 0, .queue_sizes = {16}, .queues_elsewhere = true};
    }
    void read_config(std::uint32_t, std::span<std::byte>) const override {}
    Result<void> start(std::uint16_t, Queue) override { return {}; }
    std::optional<Queue> stop(std::uint16_t) override { return std::nullopt; }
    void kick(std::uint16_t) override {}
  } device;
  auto with_it = parts();
  with_it.device = &device;
  auto mmio = Mmio::create(std::move(with_it));
  ASSERT_TRUE(mmio);
  MmioDriver driver(**mmio);
  driver.start(driver.offered(), ring_.addresses());
  EXPECT_EQ(seen(VIRTIO_MMIO_INTERRUPT_STATUS), std::uint32_t{VIRTIO_MMIO_INT_VRING});
  (*mmio)->config_changed();
  driver.set(VIRTIO_MMIO_INTERRUPT_ACK, 3);
  EXPECT_EQ(seen(VIRTIO_MMIO_INTERRUPT_STATUS), std::uint32_t{VIRTIO_MMIO_INT_VRING});
}

TEST_F(RegisterPageTest, ADeviceWithMoreConfigurationThanThePageHasIsRefused) {
  struct Vast final : Device {
    DeviceTraits traits() const override {
      return {.type = 2, .features = 0, .queue_sizes = {}, .config_size = 0xf01};
    }
    void read_config(std::uint32_t, std::span<std::byte>) const override {}
    Result<void> start(std::uint16_t, Queue) override { return {}; }
    std::optional<Queue> stop(std::uint16_t) override { return std::nullopt; }
    void kick(std::uint16_t) override {}
  } device;
  auto with_it = parts();
  with_it.device = &device;
  EXPECT_FALSE(Mmio::create(std::move(with_it)));
}

}  // namespace
}  // namespace mote::virtio::test
