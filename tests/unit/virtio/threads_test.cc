// The transport as the machine uses it: registers written by several vCPU threads at once, the
// device on the machine thread, kicks by eventfd.
#include <gtest/gtest.h>
#include <linux/virtio_blk.h>
#include <sys/epoll.h>

#include <future>
#include <random>
#include <thread>

#include "base/event_loop.h"
#include "virtio/block/device.h"
#include "virtio/fake_disk.h"
#include "virtio/mmio_driver.h"

namespace mote::virtio::test {
namespace {

class ThreadsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    loop_ = std::move(*EventLoop::create());
    auto disk = std::make_unique<FakeDisk>(64);
    block_ = std::make_unique<Block>("drive 'test'", std::move(disk), CacheType::Unsafe);
    auto made = Mmio::create({.name = "drive 'test'",
                              .device = block_.get(),
                              .memory = &memory_,
                              .interrupt = &interrupt_,
                              .run = [this](const std::function<void()>& task) {
                                std::promise<void> done;
                                loop_->post([&] {
                                  task();
                                  done.set_value();
                                });
                                done.get_future().wait();
                              }});
    ASSERT_TRUE(made);
    mmio_ = std::move(*made);
    auto watch = loop_->watch(mmio_->notify_fd(0), EPOLLIN | EPOLLET,
                              [this](std::uint32_t) { mmio_->handle_notify(0); });
    ASSERT_TRUE(watch);
    watch_ = std::move(*watch);
    machine_ = std::thread([this] { EXPECT_TRUE(loop_->run()); });
  }
  void TearDown() override {
    loop_->stop();
    machine_.join();
    watch_.cancel();
    mmio_.reset();
  }

  // What a vCPU does to the registers.
  void fight(unsigned seed, TestRing& ring) {
    MmioDriver driver(*mmio_);
    std::minstd_rand random(seed);
    const std::uint64_t offered = kRingFeatures;
    for (int i = 0; i < 1500; ++i) {
      switch (random() % 8) {
        case 0:
          driver.set(VIRTIO_MMIO_STATUS, 0);
          break;
        case 1:
          driver.set(VIRTIO_MMIO_STATUS, kDriver);
          driver.acknowledge_features(offered);
          driver.set(VIRTIO_MMIO_STATUS, kFeaturesOk);
          break;
        case 2:
          driver.set_up_queue(0, ring.addresses());
          driver.set(VIRTIO_MMIO_STATUS, kDriverOk);
          break;
        case 3:
          driver.set(VIRTIO_MMIO_STATUS, kDriverOk);
          break;
        case 4:
          driver.set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
          break;
        case 5:
          driver.set(VIRTIO_MMIO_QUEUE_READY, random() % 2);
          break;
        case 6:
          driver.start(offered, ring.addresses());
          break;
        default: {
          const std::uint64_t offset = random() % 0x140;
          static_cast<void>(driver.get(offset));
          driver.set(offset, random());
        }
      }
    }
  }
  // Pauses, saves and goes on, again and again; restores each state into a device of its own.
  void save_until(const std::atomic<bool>& done, std::atomic<int>& restored) {
    if (done) return;
    mmio_->pause();
    const auto state = mmio_->save();
    EXPECT_TRUE(state);
    Block copy("a copy", std::make_unique<FakeDisk>(64), CacheType::Unsafe);
    const auto other = Mmio::restore({.name = "a copy",
                                      .device = &copy,
                                      .memory = &memory_,
                                      .interrupt = &interrupt_,
                                      .run = [](const std::function<void()>& task) { task(); }},
                                     *state);
    EXPECT_TRUE(other) << other.error().text();
    ++restored;
    mmio_->resume();
    loop_->post([&] { save_until(done, restored); });
  }

  memory::GuestMemory memory_ = make_memory();
  FakeInterrupt interrupt_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Block> block_;
  std::unique_ptr<Mmio> mmio_;
  EventLoop::Watch watch_;
  std::thread machine_;
};

TEST_F(ThreadsTest, RequestsFromAVcpuAreServedByTheMachineThread) {
  MmioDriver driver(*mmio_);
  TestRing ring(memory_, 16);
  ASSERT_EQ(driver.start(driver.offered(), ring.addresses()), kDriverOk);
  for (int i = 0; i < 500; ++i) {
    if (i % 100 == 0) ring.rewind();
    ring.chain()
        .in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = 1})
        .out(512)
        .out(1)
        .push();
    if (ring.kick_due()) driver.set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    const auto start = std::chrono::steady_clock::now();
    while (ring.take_used().empty()) {
      ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << i;
      std::this_thread::yield();
    }
  }
  EXPECT_EQ(driver.set_status(0), 0U);
}

// Four vCPUs write whatever they like, starts and resets among it. Nothing crashes, and afterwards
// the device works.
TEST_F(ThreadsTest, VcpusThatFightOverTheRegistersHarmOnlyThemselves) {
  TestRing ring(memory_, 16);
  std::vector<std::thread> vcpus;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    vcpus.emplace_back([this, seed, &ring] { fight(seed, ring); });
  }
  // Meanwhile the machine pauses, saves and goes on; whatever was saved is a state that can be.
  std::atomic<bool> done = false;
  std::atomic<int> restored = 0;
  loop_->post([&] { save_until(done, restored); });
  for (std::thread& vcpu : vcpus) vcpu.join();
  done = true;
  for (int round = 0; round < 2; ++round) {  // the first may have another save() behind it
    std::promise<void> settled;
    loop_->post([&] { settled.set_value(); });
    settled.get_future().wait();
  }
  EXPECT_GT(restored, 0);
  MmioDriver driver(*mmio_);
  driver.set_status(0);
  TestRing fresh(memory_, 16);
  ASSERT_EQ(driver.start(driver.offered(), fresh.addresses()), kDriverOk);
  EXPECT_GT(mmio_->metrics().resets, 0U);
}

}  // namespace
}  // namespace mote::virtio::test
