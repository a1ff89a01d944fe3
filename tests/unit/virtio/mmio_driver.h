// MmioDriver does what a guest's driver does with the registers of a virtio-mmio device: every step
// alone, or all of a start in the order of VIRTIO 1.2, 3.1.1.
#pragma once

#include <gtest/gtest.h>
#include <linux/virtio_mmio.h>

#include <cstring>

#include "virtio/test_ring.h"
#include "virtio/transport/mmio.h"

namespace mote::virtio::test {

class FakeInterrupt final : public bus::Interrupt {
 public:
  void trigger() override { ++count; }
  void trigger_here() override { ++here; }
  std::atomic<int> count = 0;
  std::atomic<int> here = 0;  // on a vCPU's thread
};

constexpr std::uint32_t kAcknowledge = VIRTIO_CONFIG_S_ACKNOWLEDGE;
constexpr std::uint32_t kDriver = kAcknowledge | VIRTIO_CONFIG_S_DRIVER;
constexpr std::uint32_t kFeaturesOk = kDriver | VIRTIO_CONFIG_S_FEATURES_OK;
constexpr std::uint32_t kDriverOk = kFeaturesOk | VIRTIO_CONFIG_S_DRIVER_OK;
constexpr std::uint32_t kNeedsReset = VIRTIO_CONFIG_S_NEEDS_RESET;

class MmioDriver {
 public:
  explicit MmioDriver(bus::BusDevice& device) : device_(device) {}

  std::uint32_t get(std::uint64_t offset) { return get_as<std::uint32_t>(offset); }
  void set(std::uint64_t offset, std::uint32_t value) { set_as<std::uint32_t>(offset, value); }
  template <typename T>
  T get_as(std::uint64_t offset) {
    T value{};
    device_.read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void set_as(std::uint64_t offset, T value) {
    device_.write(offset, std::as_bytes(std::span(&value, 1)));
  }

  std::uint32_t status() { return get(VIRTIO_MMIO_STATUS); }
  std::uint32_t set_status(std::uint32_t value) {
    set(VIRTIO_MMIO_STATUS, value);
    return status();
  }
  std::uint64_t offered() {
    set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    const std::uint64_t low = get(VIRTIO_MMIO_DEVICE_FEATURES);
    set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    return low | std::uint64_t{get(VIRTIO_MMIO_DEVICE_FEATURES)} << 32;
  }
  void acknowledge_features(std::uint64_t features) {
    set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    set(VIRTIO_MMIO_DRIVER_FEATURES, static_cast<std::uint32_t>(features >> 32));
    set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    set(VIRTIO_MMIO_DRIVER_FEATURES, static_cast<std::uint32_t>(features));
  }
  // Up to FEATURES_OK; the status then.
  std::uint32_t negotiate(std::uint64_t features) {
    set_status(0);
    set_status(kAcknowledge);
    set_status(kDriver);
    acknowledge_features(features);
    return set_status(kFeaturesOk);
  }
  void set_up_queue(std::uint32_t index, const QueueAddresses& addresses) {
    set(VIRTIO_MMIO_QUEUE_SEL, index);
    set(VIRTIO_MMIO_QUEUE_NUM, addresses.size);
    set_address(VIRTIO_MMIO_QUEUE_DESC_LOW, addresses.descriptors);
    set_address(VIRTIO_MMIO_QUEUE_AVAIL_LOW, addresses.driver);
    set_address(VIRTIO_MMIO_QUEUE_USED_LOW, addresses.device);
    set(VIRTIO_MMIO_QUEUE_READY, 1);
  }
  // A whole start with one queue; the status then.
  std::uint32_t start(std::uint64_t features, const QueueAddresses& addresses,
                      std::uint32_t queue = 0) {
    negotiate(features);
    set_up_queue(queue, addresses);
    return set_status(kDriverOk);
  }

 private:
  void set_address(std::uint64_t offset, std::uint64_t address) {
    set(offset, static_cast<std::uint32_t>(address));
    set(offset + 4, static_cast<std::uint32_t>(address >> 32));
  }

  bus::BusDevice& device_;
};

}  // namespace mote::virtio::test
