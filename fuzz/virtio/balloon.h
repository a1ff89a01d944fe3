// The balloon with all its queues, whose size, statistics and hints are asked for at any moment.
#pragma once

#include <linux/virtio_balloon.h>

#include <memory>

#include "fuzz/virtio/rig.h"
#include "virtio/balloon/device.h"

namespace mote::fuzz {

template <>
class Rig<virtio::Balloon> final : public DeviceRig {
 public:
  Rig(Input& input, const virtio::DeviceServices& services)
      : services_(services),
        config_{.amount_mib = 0,
                .deflate_on_oom = input.once_in(2),
                .stats_polling_interval_s = static_cast<std::uint16_t>(input.once_in(4) ? 0 : 1),
                .free_page_hinting = !input.once_in(4),
                .free_page_reporting = !input.once_in(4)},
        device_(std::move(*virtio::Balloon::create(config_, services))) {}

  virtio::Device& device() override { return *device_; }
  Request request(Input& input, std::uint16_t queue) override {
    Request made;
    if (queue < 2) {
      for (unsigned i = input.below<std::uint8_t>(12); i > 0; --i) {
        made.in.push_back(bytes_of(input.once_in(4) ? input.number<std::uint32_t>()
                                                    : input.below<std::uint32_t>(64)));
      }
    } else if (input.once_in(2)) {
      made.in.push_back(bytes_of(input.below<std::uint32_t>(5)));
    } else {
      made.in.push_back(bytes_of(virtio_balloon_stat{.tag = input.below<std::uint16_t>(20),
                                                     .val = input.number<std::uint64_t>()}));
    }
    if (input.once_in(2)) made.out.push_back(input.below<std::uint16_t>(9000));
    return made;
  }
  void happen(Input& input) override {
    switch (input.below<std::uint8_t>(4)) {
      case 0:
        return static_cast<void>(device_->update(input.below<std::uint8_t>(2)));
      case 1:
        return static_cast<void>(device_->update_statistics(input.below<std::uint8_t>(3)));
      case 2:
        return static_cast<void>(device_->start_hinting(input.once_in(2)));
      default:
        return static_cast<void>(device_->stop_hinting());
    }
  }
  void restore() override {
    device_ = std::move(*virtio::Balloon::restore(config_, services_, device_->save()));
  }
  // A page at 4 GiB: one of low memory might be a ring.
  std::optional<Probe> probe() override {
    return Probe{.request = {.in = {bytes_of(std::uint32_t{0x100000})}}};
  }

 private:
  virtio::DeviceServices services_;
  virtio::BalloonConfig config_;
  std::unique_ptr<virtio::Balloon> device_;
};

}  // namespace mote::fuzz
