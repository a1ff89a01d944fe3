// A block device whose requests another process serves (vhost-user-blk): it gets guest memory, the
// ring, the driver's kicks and the interrupt, and this side is out of the way of every request.
//
// A backend that goes away is waited for, when it keeps its notes of what is under way with us
// (VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD): its successor gets them and goes on, and the guest has
// waited for a slow disk. Without such notes nobody knows what was done: the driver is told to
// reset the device.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "virtio/block/config.h"
#include "virtio/device.h"
#include "virtio/vhost_user/frontend.h"
#include "virtio/vhost_user_block/metrics.h"
#include "virtio/vhost_user_block/state.h"

namespace mote::virtio {

class VhostUserBlock final : public Device {
 public:
  using Config = BlockConfig;
  using State = VhostUserBlockState;

  static constexpr bool kQueuesElsewhere = true;
  static constexpr std::uint16_t kQueueSize = 256;

  // Connects to the backend at config.socket. Errors name the drive: nobody listens there, or a
  // backend that lacks what is needed.
  static Result<std::unique_ptr<VhostUserBlock>> create(const BlockConfig& config,
                                                        const DeviceServices& services);
  // As create(). An error (kInvalid) when the backend has another disk by now.
  static Result<std::unique_ptr<VhostUserBlock>> restore(const BlockConfig& config,
                                                         const DeviceServices& services,
                                                         const VhostUserBlockState& state);
  ~VhostUserBlock() override;

  VhostUserBlockState save() const;
  const VhostUserMetrics& metrics() const { return metrics_; }
  // Asks the backend for its configuration space again, and tells the driver when it is another.
  // Error: kState without a backend, kIo.
  Result<void> refresh();

  DeviceTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> into) const override;
  Result<void> start(std::uint16_t index, Queue queue) override;
  std::optional<Queue> stop(std::uint16_t index) override;
  void kick(std::uint16_t index) override;
  void reset() override { inflight_.reset(); }

 private:
  // struct virtio_blk_config up to the fields for secure erase, which not every backend knows.
  using ConfigSpace = std::array<std::byte, 60>;

  VhostUserBlock(const BlockConfig& config, const DeviceServices& services);
  Result<void> connect();
  Result<void> adopt(vhost_user::Channel channel);
  void retry();
  Result<bool> copy_config();
  Result<void> hand_over(std::uint16_t next_avail);
  void lost(const Error& error);
  void come_back();
  Result<void> resume_with_backend();
  std::uint64_t offer() const;
  std::uint64_t sectors() const;

  std::string name_;
  std::string path_;
  CacheType cache_;
  EventLoop& loop_;
  const memory::GuestMemory& memory_;
  // What the driver was and is offered, whoever the backend is.
  std::uint64_t features_ = 0;
  std::uint64_t ring_features_ = 0;
  ConfigSpace config_{};
  std::unique_ptr<vhost_user::Frontend> backend_;  // null: gone
  EventLoop::Watch watch_;                         // for its end
  EventLoop::Timer retry_;
  unsigned retries_ = 0;
  unsigned bad_greetings_ = 0;
  std::optional<Queue> queue_;
  std::optional<vhost_user::Inflight> inflight_;
  VhostUserMetrics metrics_;
};

}  // namespace mote::virtio
