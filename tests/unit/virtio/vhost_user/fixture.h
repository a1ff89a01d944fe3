// A vhost-user block device on a transport, over a backend in a thread.
#pragma once

#include <gtest/gtest.h>
#include <linux/virtio_blk.h>
#include <unistd.h>

#include <chrono>

#include "virtio/fake_slots.h"
#include "virtio/mmio_driver.h"
#include "virtio/test_ring.h"
#include "virtio/vhost_user/fake_backend.h"
#include "virtio/vhost_user_block/device.h"

namespace mote::virtio::test {

constexpr std::uint64_t bit(unsigned number) { return std::uint64_t{1} << number; }

inline std::string socket_path() {
  return ::testing::TempDir() + "mote-vhost-" + std::to_string(::getpid());
}

class VhostUserBlockTest : public ::testing::Test {
 protected:
  static memory::GuestMemory shared_memory() {
    return std::move(*memory::GuestMemory::create(
        {.ranges = {{0, 64 << 20}, {kHighStart, 16 << 20}}, .backing = memory::Backing::kMemfd}));
  }
  static BlockConfig config() { return {.drive_id = "far", .socket = socket_path()}; }

  void listen(BackendTraits traits = good_backend()) {
    backend_.reset();
    backend_.emplace(socket_path(), disk_, std::move(traits));
  }
  void build() {
    auto device = VhostUserBlock::create(config(), services_);
    ASSERT_TRUE(device) << device.error().text();
    device_ = std::move(*device);
    mmio_ = std::move(*Mmio::create({.name = "drive 'far'",
                                     .device = device_.get(),
                                     .memory = &memory_,
                                     .interrupt = &interrupt_,
                                     .run = [](const std::function<void()>& task) { task(); }}));
    driver_.emplace(*mmio_);
  }
  std::uint32_t start() {
    ring_.emplace(memory_, std::uint16_t{16});
    return driver_->start(driver_->offered(), ring_->addresses());
  }
  std::uint16_t push_read(std::uint64_t sector) {
    ChainBuilder chain = ring_->chain();
    chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = sector});
    const auto head = chain.out(512).out(1).push();
    driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    return head;
  }
  // Turns the loop until it holds, or for some seconds.
  template <typename Predicate>
  bool eventually(Predicate predicate) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!predicate()) {
      if (std::chrono::steady_clock::now() > end) return false;
      static_cast<void>(loop_->run_once(5));
    }
    return true;
  }
  void expect_reads(std::uint64_t sector) {
    const auto head = push_read(sector);
    std::vector<Used> used;
    ASSERT_TRUE(eventually([&] { return !(used = ring_->take_used()).empty(); }));
    EXPECT_EQ(used, (std::vector<Used>{{head, 513}}));
    EXPECT_EQ(ring_->written(head), disk_.substr(sector * 512, 512) + '\0');
  }

  std::string disk_ = [] {
    std::string bytes(64 << 10, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i / 512 * 7 + i);
    return bytes;
  }();
  memory::GuestMemory memory_ = shared_memory();
  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
  FakeSlots slots_;
  memory::AddressSpace space_{memory_, {}, slots_};
  DeviceServices services_{.loop = *loop_, .memory = memory_, .space = space_};
  bus::EventFdInterrupt interrupt_ = std::move(*bus::EventFdInterrupt::create());
  std::optional<FakeBackend> backend_;
  std::unique_ptr<VhostUserBlock> device_;
  std::unique_ptr<Mmio> mmio_;
  std::optional<MmioDriver> driver_;
  std::optional<TestRing> ring_;
};

}  // namespace mote::virtio::test
