// The memory device, whose size is asked for at any moment.
#pragma once

#include <memory>

#include "fuzz/virtio/rig.h"
#include "virtio/mem/device.h"

namespace mote::fuzz {

template <>
class Rig<virtio::Mem> final : public DeviceRig {
 public:
  Rig(Input& input, const virtio::DeviceServices& services)
      : device_(std::move(*virtio::Mem::create({.total_size_mib = 512,
                                                .block_size_mib = input.once_in(2) ? 64U : 2U,
                                                .requested_size_mib = input.once_in(4) ? 0U : 256U},
                                               services))) {}

  virtio::Device& device() override { return *device_; }
  Request request(Input& input, std::uint16_t /*queue*/) override {
    virtio_mem_req request{};
    request.type = input.below<std::uint16_t>(6);
    request.u.plug.addr = input.once_in(8)
                              ? input.number<std::uint64_t>()
                              : kStart + (std::uint64_t{input.below<std::uint8_t>(12)} << 26);
    request.u.plug.nb_blocks = input.once_in(8) ? input.number<std::uint16_t>()
                                                : std::uint16_t{input.below<std::uint8_t>(9)};
    Request made{.in = {bytes_of(request)}};
    if (input.once_in(8)) made.in.push_back(input.text(60));
    made.out.push_back(input.once_in(8) ? input.below<std::uint32_t>(20) : 10U);
    return made;
  }
  void happen(Input& input) override {
    static_cast<void>(device_->update(input.below<std::uint8_t>(5) * 128U));
  }
  std::optional<Probe> probe() override {
    virtio_mem_req request{};
    request.type = VIRTIO_MEM_REQ_UNPLUG_ALL;
    return Probe{.request = {.in = {bytes_of(request)}, .out = {10}}};
  }

 private:
  static constexpr std::uint64_t kStart = std::uint64_t{8} << 30;  // where the world has room

  std::unique_ptr<virtio::Mem> device_;
};

}  // namespace mote::fuzz
