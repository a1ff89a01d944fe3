// Kicks that come as a vCPU's exits and are answered on its thread, through the transport.
#include <gtest/gtest.h>
#include <linux/virtio_blk.h>

#include "virtio/block/device.h"
#include "virtio/fake_disk.h"
#include "virtio/mmio_driver.h"

namespace mote::virtio::test {
namespace {

class MmioKicksTest : public ::testing::Test {
 protected:
  MmioKicksTest() {
    auto disk = std::make_unique<FakeDisk>(8);
    disk_ = disk.get();
    disk_->at_hand = true;
    block_ = std::make_unique<Block>("drive 'test'", std::move(disk), CacheType::Unsafe);
    auto made = Mmio::create(
        {.name = "drive 'test'",
         .device = block_.get(),
         .memory = &memory_,
         .interrupt = &interrupt_,
         .run = [](const std::function<void()>& task) { task(); },
         .run_here = [this](const std::function<bool()>& task) { return idle_ && task(); },
         .route_kicks =
             [this](std::uint16_t queue, int fd, KickRoute route) {
               EXPECT_EQ(fd, mmio_->notify_fd(queue));
               route_ = route;
               return true;
             }});
    if (!made) throw std::runtime_error(made.error().text());
    mmio_ = std::move(*made);
    driver_.emplace(*mmio_);
    start();
    while (route_ == KickRoute::kEvent) {
      push_read();
      expect_event();
    }
  }
  void start() { driver_->start(driver_->offered(), ring_->addresses()); }
  void push_read() {
    ring_->set_used_event(ring_->used_index());
    ring_->chain()
        .in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = 0})
        .out(512)
        .out(1)
        .push();
  }
  void kick() { driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, 0); }
  bool notified() { return drain_eventfd(mmio_->notify_fd(0)) > 0; }
  // A kick that is answered on its thread.
  void expect_here() {
    const int here = interrupt_.here;
    const int there = interrupt_.count;
    kick();
    EXPECT_FALSE(notified());
    EXPECT_EQ(ring_->take_used().size(), 1U);
    EXPECT_EQ(interrupt_.here, here + 1);
    EXPECT_EQ(interrupt_.count, there);
  }
  // A kick that goes to the machine thread, which answers it.
  void expect_event() {
    const int here = interrupt_.here;
    kick();
    EXPECT_TRUE(notified());
    EXPECT_TRUE(ring_->take_used().empty());
    mmio_->handle_notify(0);
    EXPECT_EQ(ring_->take_used().size(), 1U);
    EXPECT_EQ(interrupt_.here, here);
  }

  memory::GuestMemory memory_ = make_memory();
  std::optional<TestRing> ring_{std::in_place, memory_, 16};
  FakeInterrupt interrupt_;
  bool idle_ = true;  // the machine thread is
  KickRoute route_ = KickRoute::kEvent;
  FakeDisk* disk_ = nullptr;
  std::unique_ptr<Block> block_;
  std::unique_ptr<Mmio> mmio_;
  std::optional<MmioDriver> driver_;
};

TEST_F(MmioKicksTest, AreAnsweredWhereTheyCome) {
  const std::uint64_t interrupts = mmio_->metrics().interrupts;
  for (int i = 0; i < 100; ++i) {
    push_read();
    expect_here();
  }
  EXPECT_EQ(mmio_->metrics().interrupts, interrupts + 100);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS), std::uint32_t{VIRTIO_MMIO_INT_VRING});
}

TEST_F(MmioKicksTest, GoToTheMachineThreadWhereTheyCannotBe) {
  idle_ = false;
  push_read();
  expect_event();
  idle_ = true;
  push_read();
  expect_here();
  disk_->at_hand = false;
  push_read();
  expect_event();
}

TEST_F(MmioKicksTest, OfAPausedDeviceWaitForItsResume) {
  mmio_->pause();
  push_read();
  kick();
  EXPECT_TRUE(notified());
  EXPECT_TRUE(ring_->take_used().empty());
  EXPECT_TRUE(mmio_->save());
  mmio_->resume();
  EXPECT_EQ(ring_->take_used().size(), 1U);
  push_read();
  expect_here();
}

TEST_F(MmioKicksTest, OfAQueueThatLiesStopTheDevice) {
  ring_->set_available_index(static_cast<std::uint16_t>(ring_->available_index() + 300));
  kick();
  EXPECT_EQ(driver_->status(), kDriverOk | kNeedsReset);
  EXPECT_EQ(mmio_->metrics().rings_broken, 1U);
  // The machine thread takes its queues; until then, and after, it answers nothing.
  EXPECT_TRUE(notified());
  kick();
  mmio_->handle_notify(0);
  kick();
  EXPECT_TRUE(ring_->take_used().empty());
  // A driver that starts it anew finds it as it was.
  ring_.emplace(memory_, std::uint16_t{16});
  start();
  push_read();
  expect_here();
}

TEST_F(MmioKicksTest, OfAResetDeviceAreNothing) {
  push_read();
  driver_->set_status(0);
  kick();
  EXPECT_TRUE(ring_->take_used().empty());
  EXPECT_EQ(driver_->status(), 0U);
}

TEST_F(MmioKicksTest, OfOtherQueuesAreRefused) {
  const std::uint64_t refused = mmio_->metrics().refused_writes;
  push_read();
  driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
  driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, 0x10000);
  driver_->set_as<std::uint16_t>(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
  driver_->set_as<std::uint64_t>(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
  EXPECT_TRUE(ring_->take_used().empty());
  EXPECT_EQ(mmio_->metrics().refused_writes, refused + 2);
  EXPECT_EQ(mmio_->metrics().cfg_fails, 2U);
  expect_here();
}

}  // namespace
}  // namespace mote::virtio::test
