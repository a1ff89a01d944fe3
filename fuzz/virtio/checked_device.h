// CheckedDevice holds a device to what virtio::Device asks of it, whatever its driver does.
#pragma once

#include "fuzz/target.h"
#include "virtio/device.h"

namespace mote::fuzz {

class CheckedDevice final : public virtio::Device {
 public:
  explicit CheckedDevice(virtio::Device& device) : device_(device) {
    device_.set_config_listener([this] { config_changed(); }, [this] { config_refreshed(); });
    device_.set_failure_listener([this](const Error& error) { failed(error); });
  }
  ~CheckedDevice() override {
    device_.set_config_listener(nullptr);
    device_.set_failure_listener(nullptr);
  }
  CheckedDevice(const CheckedDevice&) = delete;
  CheckedDevice& operator=(const CheckedDevice&) = delete;

  virtio::DeviceTraits traits() const override { return device_.traits(); }
  void read_config(std::uint32_t offset, std::span<std::byte> into) const override {
    device_.read_config(offset, into);
  }
  bool write_config(std::uint32_t offset, std::span<const std::byte> from) override {
    return device_.write_config(offset, from);
  }
  Result<void> start(std::uint16_t index, virtio::Queue queue) override {
    return device_.start(index, std::move(queue));
  }
  std::optional<virtio::Queue> stop(std::uint16_t index) override {
    auto queue = device_.stop(index);
    if (queue) {
      require(queue->in_flight() == 0, "a queue is given back with nothing in flight");
      require(queue->forgotten() == 0, "every chain is completed");
    }
    return queue;
  }
  void kick(std::uint16_t index) override { device_.kick(index); }
  bool kick_here(std::uint16_t index) override { return device_.kick_here(index); }
  void reset() override { device_.reset(); }

 private:
  virtio::Device& device_;
};

}  // namespace mote::fuzz
