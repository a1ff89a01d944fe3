// TestDriver drives a device through one queue without a transport: it is the queue's host, too.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "virtio/device.h"
#include "virtio/fake_slots.h"
#include "virtio/test_ring.h"

namespace mote::virtio::test {

// Remembers what a queue told its host.
class FakeHost : public QueueHost {
 public:
  void used(std::uint16_t /*index*/) override {
    ++interrupts;
    if (on_used) on_used();
  }
  bool one_interrupt() const override { return shared; }
  void broken(std::uint16_t /*index*/, const Error& error) override {
    ++breaks;
    lie = error.text();
  }
  void again(std::uint16_t /*index*/) override { ++agains; }
  bool route_kicks(std::uint16_t /*index*/, KickRoute wanted) override {
    if (can_route) route = wanted;
    return can_route;
  }

  bool can_route = true;
  KickRoute route = KickRoute::kEvent;
  bool shared = false;            // an interrupt for one queue is one for all
  std::function<void()> on_used;  // what the driver does when it is interrupted
  int interrupts = 0;
  int breaks = 0;
  int agains = 0;
  std::string lie;
};

// What a device is given in a test. Addresses for its memory begin at 8 GiB.
class TestServices {
 public:
  DeviceServices get() { return {.loop = *loop, .memory = memory, .space = space}; }

  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  memory::GuestMemory memory = make_memory();
  FakeSlots slots;
  memory::AddressSpace space{memory, device_window, slots};
};

class TestDriver {
 public:
  // Starts `device` with its queue `queue_index`; `device_features` are acknowledged beside the
  // ring's.
  TestDriver(Device& device, std::uint16_t queue_size, std::uint64_t device_features = 0,
             std::uint16_t queue_index = 0)
      : device_(device),
        index_(queue_index),
        memory(make_memory()),
        ring(memory, queue_size, 0x10000, kRingFeatures | device_features) {
    auto queue = Queue::create({.memory = &memory,
                                .host = &host,
                                .index = index_,
                                .max_size = queue_size,
                                .features = ring.features()},
                               ring.addresses());
    if (!queue) throw std::runtime_error(queue.error().text());
    auto started = device.start(index_, std::move(*queue));
    if (!started) throw std::runtime_error(started.error().text());
  }
  ~TestDriver() {
    EXPECT_TRUE(ring.gaps_intact()) << "the device wrote outside of the buffers";
    static_cast<void>(device_.stop(index_));
  }
  TestDriver(const TestDriver&) = delete;
  TestDriver& operator=(const TestDriver&) = delete;

  ChainBuilder chain() { return ring.chain(); }
  // Kicks as the host has it: kick_here() first where kicks come so. True: that was enough.
  bool kick_by_route() {
    if (host.route == KickRoute::kHere && device_.kick_here(index_)) return true;
    kick();
    return false;
  }
  // Kicks, and again for as long as the device asks for it.
  void kick() {
    int asked = 0;
    do {
      asked = host.agains;
      device_.kick(index_);
    } while (host.agains != asked);
  }
  // The one element that the device has used since the last call.
  Used used() {
    const auto all = ring.take_used();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? Used{} : all.front();
  }

 private:
  Device& device_;
  std::uint16_t index_;

 public:
  memory::GuestMemory memory;
  FakeHost host;
  TestRing ring;
};

}  // namespace mote::virtio::test
