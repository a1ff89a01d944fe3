#include "machine/device_kinds.h"

#include <gtest/gtest.h>

namespace mote::machine {
namespace {

// A device that another process serves.
class ElsewhereDevice final : public virtio::Device {
 public:
  virtio::DeviceTraits traits() const override {
    return {.queue_sizes = {16}, .queues_elsewhere = true};
  }
  void read_config(std::uint32_t /*offset*/, std::span<std::byte> /*into*/) const override {}
  Result<void> start(std::uint16_t /*index*/, virtio::Queue /*queue*/) override { return {}; }
  std::optional<virtio::Queue> stop(std::uint16_t /*index*/) override { return std::nullopt; }
  void kick(std::uint16_t /*index*/) override {}
};

TEST(DeviceKinds, WhatAnotherProcessServesIsNotSaved) {
  const auto refused =
      save_device(virtio::kKindIndex<virtio::VhostUserBlock>, "drives 'root'", ElsewhereDevice());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(refused.error().text(),
            "drives 'root': its vhost-user backend has a state that cannot be saved; a machine is "
            "saved without such a device");
}

}  // namespace
}  // namespace mote::machine
