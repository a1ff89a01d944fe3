// A device of any kind behind its transport, with a ring at the queue of its rig: what suites over
// the table of kinds stand on.
#pragma once

#include <gtest/gtest.h>

#include "virtio/kind_rigs.h"
#include "virtio/kinds.h"
#include "virtio/mmio_driver.h"
#include "virtio/own_queues.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {

using Devices = DevicesWithOwnQueues;

template <typename D>
class DeviceFixture : public ::testing::Test {
 protected:
  static constexpr std::uint16_t kSize = 16;
  static constexpr std::uint16_t kQueue = queue_of<D>();

  DeviceFixture() { build(make()); }

  Result<std::unique_ptr<D>> make() {
    if constexpr (requires { rig_.make(services_); }) {
      return rig_.make(services_);
    } else {
      return D::create(rig_.config, services_);
    }
  }
  Result<std::unique_ptr<D>> restore(const D::State& state) {
    if constexpr (requires { rig_.restore(services_, state); }) {
      return rig_.restore(services_, state);
    } else {
      return D::restore(rig_.config, services_, state);
    }
  }
  void build(Result<std::unique_ptr<D>> made) {
    if (!made) throw std::runtime_error(made.error().text());
    device_ = std::move(*made);
    auto mmio = Mmio::create(parts());
    if (!mmio) throw std::runtime_error(mmio.error().text());
    mmio_ = std::move(*mmio);
    driver_.emplace(*mmio_);
  }
  Mmio::Parts parts() {
    return {.name = "the device",
            .device = device_.get(),
            .memory = &memory_,
            .interrupt = &interrupt_,
            .run = [](const std::function<void()>& task) { task(); }};
  }
  // A start with the ring of this test at kQueue; other queues stay as they are.
  std::uint32_t start() { return start(driver_->offered()); }
  std::uint32_t start(std::uint64_t features) {
    return driver_->start(features, ring_->addresses(), kQueue);
  }
  void fresh_ring() { ring_.emplace(memory_, kSize); }
  void kick() {
    driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, kQueue);
    mmio_->handle_notify(kQueue);
  }
  // One chain through all of it.
  void expect_works() {
    const auto head = rig_.work(*ring_).push();
    kick();
    const auto used = ring_->take_used();
    ASSERT_EQ(used.size(), 1U);
    EXPECT_EQ(used[0].head, head);
    EXPECT_TRUE(ring_->gaps_intact());
  }

  KindRig<D> rig_;
  TestServices machine_;
  const memory::GuestMemory& memory_ = machine_.memory;
  DeviceServices services_ = machine_.get();
  std::optional<TestRing> ring_{std::in_place, memory_, kSize};
  FakeInterrupt interrupt_;
  std::unique_ptr<D> device_;
  std::unique_ptr<Mmio> mmio_;
  std::optional<MmioDriver> driver_;
};

}  // namespace mote::virtio::test
