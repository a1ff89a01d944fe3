// The block device (VIRTIO 1.2, 5.2): one queue of reads, writes, flushes and requests for an id,
// done by a storage::Disk straight on the guest's buffers. Belongs to the machine thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/disk.h"
#include "virtio/block/config.h"
#include "virtio/block/metrics.h"
#include "virtio/block/state.h"
#include "virtio/device.h"
#include "virtio/rate_limiter.h"

namespace mote::virtio {

class Block final : public Device {
 public:
  using Config = BlockConfig;
  using State = BlockState;

  static constexpr std::uint16_t kQueueSize = 256;

  // Checks `config` and opens its disk. Errors name the drive.
  static Result<std::unique_ptr<Block>> create(const BlockConfig& config,
                                               const DeviceServices& services);
  // As create(), for a driver that knows the disk as `state` says. An error when the disk has
  // become smaller (kInvalid).
  static Result<std::unique_ptr<Block>> restore(const BlockConfig& config,
                                                const DeviceServices& services,
                                                const BlockState& state);
  // A device over any disk; `name` is for the log.
  Block(std::string name, std::unique_ptr<storage::Disk> disk, CacheType cache);

  BlockState save() const;
  // Limits from now on, as RateLimiter::update(). `loop` is the machine thread's.
  Result<void> limit(EventLoop& loop, const RateLimiterConfig& limits);
  const BlockMetrics& metrics() const { return metrics_; }

  DeviceTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> into) const override;
  Result<void> start(std::uint16_t index, Queue queue) override;
  std::optional<Queue> stop(std::uint16_t index) override;
  void kick(std::uint16_t index) override;

 private:
  // A request that the disk has.
  struct Pending {
    Chain chain;
    storage::Op op = storage::Op::kRead;
    std::uint64_t length = 0;  // bytes of data
    bool sync_after = false;   // a write that is on stable storage before the driver hears of it
  };

  void serve_queue();
  // False: the chain waits in its queue for the rate limiter.
  bool handle(Chain chain);
  bool admit(std::uint32_t type, Chain& chain);
  void make_limiter(EventLoop& loop);
  void perform(Chain chain, std::uint32_t type, std::uint64_t sector);
  void transfer(Chain chain, storage::Op op, std::uint64_t sector);
  void identify(Chain chain);
  void submit(std::size_t slot, storage::Op op, std::uint64_t offset, std::vector<iovec> buffers);
  void disk_done(std::size_t slot, storage::DiskRequest request, const Result<void>& result);
  void refuse(Chain chain, std::uint8_t status);
  void answer(Chain chain, std::uint8_t status);
  void count(const Pending& pending, const Result<void>& result);

  std::size_t park(Pending pending);
  std::vector<iovec> take_buffers();
  void keep_buffers(std::vector<iovec> buffers);

  std::string name_;
  std::unique_ptr<storage::Disk> disk_;
  CacheType cache_;
  std::uint64_t sectors_;
  std::optional<Queue> queue_;
  bool serving_ = false;  // inside kick(), which flushes once for all
  // Requests under way, in slots that are used again: nothing is allocated for one more request.
  std::vector<std::optional<Pending>> pending_;
  std::vector<std::size_t> free_slots_;
  std::vector<std::vector<iovec>> spare_buffers_;
  std::unique_ptr<RateLimiter> limiter_;  // null: there never was a limit
  unsigned reported_ = 0;
  BlockMetrics metrics_;
};

}  // namespace mote::virtio
