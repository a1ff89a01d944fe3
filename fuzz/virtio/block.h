// The block device over a disk in memory, which completes late and fails.
#pragma once

#include <linux/virtio_blk.h>

#include <memory>

#include "fuzz/virtio/rig.h"
#include "virtio/block/device.h"
#include "virtio/fake_disk.h"

namespace mote::fuzz {

template <>
class Rig<virtio::Block> final : public DeviceRig {
 public:
  Rig(Input& input, const virtio::DeviceServices& /*services*/) {
    auto disk = std::make_unique<virtio::test::FakeDisk>(64);
    disk->protect = input.once_in(4);
    disk->defer = input.once_in(2);
    disk->at_hand = input.once_in(2);
    disk_ = disk.get();
    const auto cache = input.once_in(2) ? virtio::CacheType::Writeback : virtio::CacheType::Unsafe;
    device_ = std::make_unique<virtio::Block>("the disk", std::move(disk), cache);
  }

  // So many small reads, one by one, of data that is at hand that kicks are answered at once. What
  // Guest::step() and this rig take the numbers for, the first one last.
  static std::string seed() {
    std::string taken{0, 0, 1, 0, /* a start */ 0};
    for (int i = 0; i < 100; ++i) taken += {15, 0, 0, 0, 5, 1, 0, 0, 0, 0};
    return {taken.rbegin(), taken.rend()};
  }

  virtio::Device& device() override { return *device_; }
  Request request(Input& input, std::uint16_t /*queue*/) override {
    const auto type =
        input.once_in(8) ? input.number<std::uint32_t>() : input.below<std::uint8_t>(16);
    const auto sector =
        input.once_in(8) ? input.number<std::uint64_t>() : input.below<std::uint8_t>(80);
    Request made{.in = {bytes_of(virtio_blk_outhdr{.type = type, .ioprio = 0, .sector = sector})}};
    if (type == VIRTIO_BLK_T_OUT)
      made.in.push_back(std::string(512 * input.below<std::uint8_t>(4), 'w'));
    if (type == VIRTIO_BLK_T_IN) made.out.push_back(512 * input.below<std::uint8_t>(4));
    if (input.once_in(4)) made.in.push_back(input.text(600));
    if (input.once_in(4)) made.out.push_back(input.below<std::uint16_t>(600));
    made.out.push_back(1);
    return made;
  }
  void happen(Input& input) override {
    disk_->fail_next = input.once_in(2);
    disk_->at_hand = input.once_in(2);
    if (!disk_->waiting.empty()) disk_->complete_one();
    disk_->log.clear();
  }
  void heal() override { disk_->fail_next = disk_->defer = false; }
  std::optional<Probe> probe() override {
    return Probe{.request = {.in = {bytes_of(virtio_blk_outhdr{
                                 .type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = 1})},
                             .out = {512, 1}}};
  }

 private:
  std::unique_ptr<virtio::Block> device_;
  virtio::test::FakeDisk* disk_ = nullptr;
};

}  // namespace mote::fuzz
