// The vsock device over host programs in memory, which come, talk, stall, fail and go.
#pragma once

#include <memory>
#include <vector>

#include "fuzz/target.h"
#include "fuzz/virtio/rig.h"
#include "virtio/fake_vsock_host.h"
#include "virtio/vsock/device.h"

namespace mote::fuzz {

template <>
class Rig<virtio::Vsock> final : public DeviceRig {
 public:
  Rig(Input& input, const virtio::DeviceServices& services) : services_(services) {
    limits_.connections = input.below<std::uint8_t>(8);
    limits_.resets = input.below<std::uint8_t>(8);
    limits_.tx_delay = {};
    make(nullptr);
  }
  ~Rig() override {
    device_.reset();
    for (const auto& end : ends_) require(end->closed, "a device closes its streams");
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  virtio::Device& device() override { return *device_; }
  Request request(Input& input, std::uint16_t queue) override {
    if (queue == virtio::Vsock::kEvents) return {.in = {}, .out = {4}};
    if (queue == virtio::Vsock::kRx) {
      return {.in = {}, .out = {44, input.below<std::uint16_t>(3000)}};
    }
    std::string payload = input.text(300);
    if (input.once_in(8)) payload.resize(70000);
    virtio::vsock::Header header{
        .src_cid = kCid,
        .dst_cid = 2,
        .src_port = input.below<std::uint8_t>(kPorts),
        .dst_port = input.below<std::uint8_t>(kPorts) +
                    (input.once_in(2) ? virtio::Vsock::kFirstHostPort : 0U),
        .len = static_cast<std::uint32_t>(payload.size()),
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = input.below<std::uint16_t>(9),
        .flags = input.below<std::uint8_t>(4),
        .buf_alloc = input.number<std::uint16_t>(),
        .fwd_cnt = input.number<std::uint16_t>(),
    };
    if (input.once_in(8)) header = input.value<virtio::vsock::Header>();
    return {.in = {bytes_of(header), payload}, .out = {}};
  }
  void happen(Input& input) override {
    if (backend_->listening() && input.once_in(4)) {
      ends_.push_back(backend_->dial(input.below<std::uint8_t>(kPorts)));
    }
    gather();
    if (ends_.empty()) return;
    virtio::test::FakeEnd& end = *ends_[input.below(ends_.size())];
    if (input.once_in(2)) end.incoming += input.text(200);
    if (input.once_in(8)) end.incoming += std::string(100000, 'x');
    end.ended = end.ended || input.once_in(8);
    end.hung_up = end.hung_up || input.once_in(16);
    end.fail_reads = input.once_in(16);
    end.fail_writes = input.once_in(16);
    end.room = input.number<std::uint16_t>();
    end.most = 1 + input.number<std::uint16_t>();
    end.poke();
  }
  void restore() override {
    const virtio::VsockState state = device_->save();
    make(&state);
  }
  std::optional<Probe> probe() override {
    const virtio::vsock::Header header{.src_cid = kCid,
                                       .dst_cid = 2,
                                       .src_port = 1,
                                       .dst_port = 1,
                                       .len = 0,
                                       .type = VIRTIO_VSOCK_TYPE_STREAM,
                                       .op = VIRTIO_VSOCK_OP_CREDIT_REQUEST,
                                       .flags = 0,
                                       .buf_alloc = 0,
                                       .fwd_cnt = 0};
    return Probe{.queue = virtio::Vsock::kTx, .request = {.in = {bytes_of(header)}, .out = {}}};
  }

 private:
  static constexpr std::uint32_t kCid = 3;
  static constexpr std::uint8_t kPorts = 4;

  void make(const virtio::VsockState* state) {
    auto backend = std::make_unique<virtio::test::FakeBackend>();
    backend_ = backend.get();
    for (std::uint32_t port = 0; port + 1 < kPorts; ++port) backend_->services[port];
    auto made = virtio::Vsock::over(kCid, std::move(backend), services_.loop, limits_, state);
    require(made.has_value(), "a device can be made");
    device_ = std::move(*made);
  }
  // The streams that the guest asked for since.
  void gather() {
    for (auto& [port, ends] : backend_->services) {
      ends_.insert(ends_.end(), ends.begin(), ends.end());
      ends.clear();
    }
  }

  virtio::DeviceServices services_;
  virtio::Vsock::Limits limits_;
  virtio::test::FakeBackend* backend_ = nullptr;
  std::vector<virtio::test::End> ends_;
  std::unique_ptr<virtio::Vsock> device_;
};

}  // namespace mote::fuzz
