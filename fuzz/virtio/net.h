// The network device on a link in memory, where frames arrive, block, and are refused.
#pragma once

#include <memory>
#include <stdexcept>

#include "fuzz/virtio/rig.h"
#include "virtio/fake_link.h"
#include "virtio/net/device.h"
#include "virtio/net/net_abi.h"

namespace mote::fuzz {

template <>
class Rig<virtio::Net> final : public DeviceRig {
 public:
  Rig(Input& input, const virtio::DeviceServices& services) : services_(services) {
    config_.num_queues = 1 + input.below<std::uint8_t>(3);
    if (input.once_in(2)) config_.guest_mac = "06:00:00:00:00:01";
    if (input.once_in(2)) config_.mtu = 1500;
    if (input.once_in(4)) {
      config_.rx_rate_limiter = config_.tx_rate_limiter = virtio::RateLimiterConfig{
          .bandwidth = virtio::TokenBucketConfig{.size = 3000, .refill_time = 1},
          .ops = virtio::TokenBucketConfig{.size = 2, .refill_time = 1}};
    }
    take(virtio::Net::create(config_, services_, make_link()));
  }

  virtio::Device& device() override { return *device_; }
  Request request(Input& input, std::uint16_t queue) override {
    Request made;
    if (queue == 2 * config_.num_queues) {  // commands
      made.in.push_back(bytes_of(virtio_net_ctrl_hdr{.class_ = input.below<std::uint8_t>(7),
                                                     .cmd = input.below<std::uint8_t>(3)}));
      made.in.push_back(input.text(16));
      made.out.push_back(input.below<std::uint8_t>(3));
    } else if (queue % 2 == 0) {
      made.out.push_back(input.once_in(4) ? input.below<std::uint16_t>(2000) : 12);
      made.out.push_back(input.below<std::uint16_t>(4000));
    } else {
      auto header = input.once_in(2) ? input.value<virtio_net_hdr_v1>() : virtio_net_hdr_v1{};
      made.in.push_back(bytes_of(header));
      made.in.push_back(input.text(100));
      if (input.once_in(4)) made.in.push_back(std::string(input.number<std::uint16_t>(), 'f'));
    }
    return made;
  }
  void happen(Input& input) override {
    const auto lane = input.below(link_->lanes());
    link_->fail_next = input.once_in(8);
    link_->refuse_next = input.once_in(8);
    link_->refuse_settings = input.once_in(8);
    link_->gone = input.once_in(16);
    link_->room = input.once_in(4) ? input.below<std::uint8_t>(4) : SIZE_MAX;
    for (auto& frames : link_->sent) frames.clear();
    if (link_->waiting[lane].size() < 8) {
      link_->arrive(bytes_of(virtio_net_hdr_v1{}) + input.text(64) +
                        std::string(input.below<std::uint16_t>(3000), 'a'),
                    lane);
    }
  }
  void restore() override {
    const virtio::NetState state = device_->save();
    device_.reset();
    take(virtio::Net::restore(config_, services_, state, make_link()));
  }
  void heal() override {
    link_->fail_next = link_->refuse_next = link_->refuse_settings = link_->gone = false;
    link_->room = SIZE_MAX;
    // A bucket of no size is none.
    const virtio::RateLimiterConfig none{.bandwidth = virtio::TokenBucketConfig{},
                                         .ops = virtio::TokenBucketConfig{}};
    if (!device_->update_limits(none, none)) {
      throw std::runtime_error("no timer");
    }
  }
  std::optional<Probe> probe() override {
    return Probe{.queue = 1, .request = {.in = {std::string(12 + 60, '\0')}, .out = {}}};
  }

 private:
  std::unique_ptr<virtio::test::FakeLink> make_link() {
    auto link = std::make_unique<virtio::test::FakeLink>(config_.num_queues);
    link_ = link.get();
    return link;
  }
  void take(Result<std::unique_ptr<virtio::Net>> made) {
    if (!made) throw std::runtime_error(made.error().text());
    device_ = std::move(*made);
  }

  const virtio::DeviceServices services_;
  virtio::NetConfig config_{.iface_id = "net", .host_dev_name = "tap"};
  std::unique_ptr<virtio::Net> device_;
  virtio::test::FakeLink* link_ = nullptr;
};

}  // namespace mote::fuzz
