// Persistent memory over a file that syncs late and fails, with limits that change.
#pragma once

#include <linux/virtio_pmem.h>

#include <memory>

#include "fuzz/virtio/rig.h"
#include "virtio/fake_file.h"
#include "virtio/pmem/device.h"

namespace mote::fuzz {

template <>
class Rig<virtio::Pmem> final : public DeviceRig {
 public:
  Rig(Input& input, const virtio::DeviceServices& services) : services_(services) {
    auto file = std::make_unique<virtio::test::FakeFile>(1, input.once_in(4));
    file->defer = input.once_in(2);
    file_ = file.get();
    device_ = std::move(*virtio::Pmem::over("the file", std::move(file), services, nullptr));
  }

  virtio::Device& device() override { return *device_; }
  Request request(Input& input, std::uint16_t /*queue*/) override {
    Request made{.in = {bytes_of(virtio_pmem_req{.type = input.once_in(4) ? 1U : 0U})},
                 .out = {input.once_in(4) ? input.below<std::uint32_t>(9) : 4U}};
    if (input.once_in(8)) made.in.push_back(input.text(60));
    return made;
  }
  void happen(Input& input) override {
    file_->fail_next = input.once_in(2);
    file_->complete();
    if (input.once_in(2)) limit(input.below<std::uint8_t>(4), input.below<std::uint8_t>(4));
  }
  void heal() override {
    file_->fail_next = file_->defer = false;
    limit(0, 0);
  }
  std::optional<Probe> probe() override {
    return Probe{.request = {.in = {bytes_of(virtio_pmem_req{.type = 0})}, .out = {4}}};
  }

 private:
  void limit(std::uint64_t size, std::uint64_t refill_time) {
    static_cast<void>(device_->limit(
        {.bandwidth = {},
         .ops = virtio::TokenBucketConfig{.size = size, .refill_time = refill_time}}));
  }

  virtio::DeviceServices services_;
  virtio::test::FakeFile* file_ = nullptr;
  std::unique_ptr<virtio::Pmem> device_;
};

}  // namespace mote::fuzz
