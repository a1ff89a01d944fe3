// The entropy device over a source that runs dry, with limits that change.
#pragma once

#include <memory>

#include "fuzz/virtio/rig.h"
#include "virtio/rng/device.h"

namespace mote::fuzz {

template <>
class Rig<virtio::Rng> final : public DeviceRig {
 public:
  Rig(Input& input, const virtio::DeviceServices& services) : services_(services) {
    auto source = std::make_unique<Source>();
    source_ = source.get();
    device_ = std::make_unique<virtio::Rng>(std::move(source), services_.loop);
    if (input.once_in(2)) limit(2, 1);
  }

  virtio::Device& device() override { return *device_; }
  Request request(Input& input, std::uint16_t /*queue*/) override {
    Request made{.in = {}, .out = {input.below<std::uint32_t>(100'000)}};
    if (input.once_in(4)) made.in.push_back(input.text(600));
    if (input.once_in(4)) made.out.push_back(input.below<std::uint16_t>(600));
    return made;
  }
  void happen(Input& input) override {
    if (source_ != nullptr) source_->dry = input.once_in(2);
    limit(input.below<std::uint8_t>(4), input.below<std::uint8_t>(4));
  }
  void restore() override {
    auto restored = virtio::Rng::restore({}, services_, device_->save());
    if (!restored) throw std::runtime_error(restored.error().text());
    device_ = std::move(*restored);
    source_ = nullptr;
  }
  void heal() override {
    if (source_ != nullptr) source_->dry = false;
    limit(0, 0);
  }
  std::optional<Probe> probe() override { return Probe{.request = {.in = {}, .out = {64}}}; }

 private:
  struct Source final : virtio::EntropySource {
    bool dry = false;
    Result<void> fill(std::span<std::byte> into) override {
      if (dry) return fail(ErrorKind::kIo, "dry");
      for (std::byte& byte : into) byte = std::byte{0x5a};
      return {};
    }
  };

  // In requests and in 10 KB a ms.
  void limit(std::uint64_t requests, std::uint64_t bytes) {
    if (!device_->limit(
            {.bandwidth = virtio::TokenBucketConfig{.size = bytes * 10'000, .refill_time = 1},
             .ops = virtio::TokenBucketConfig{.size = requests, .refill_time = 1}})) {
      throw std::runtime_error("no timer");
    }
  }

  const virtio::DeviceServices services_;
  std::unique_ptr<virtio::Rng> device_;
  Source* source_ = nullptr;  // null in a restored device, which has the host's
};

}  // namespace mote::fuzz
