// The block device (VIRTIO 1.2, 5.2): queues of reads, writes, flushes, discards, requests to write
// zeroes and requests for an id, done by a storage::Disk straight on the guest's buffers. Belongs
// to the machine thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/failure_log.h"
#include "storage/disk.h"
#include "storage/raw_disk.h"
#include "virtio/block/at_once_pace.h"
#include "virtio/block/config.h"
#include "virtio/block/metrics.h"
#include "virtio/block/state.h"
#include "virtio/device.h"
#include "virtio/queue/batch_pace.h"
#include "virtio/rate_limiter.h"

namespace mote::virtio {

// What of a block device its disk does not say.
struct BlockShape {
  CacheType cache = CacheType::Unsafe;
  std::uint16_t queues = 1;             // at least 1
  std::optional<std::string> serial{};  // absent: the disk's identity
};

class Block final : public Device, private storage::CompletionListener {
 public:
  using Config = BlockConfig;
  using State = BlockState;

  static constexpr std::uint16_t kQueueSize = 256;
  // Ranges of one request to discard.
  static constexpr std::uint32_t kMostRanges = 16;
  // Requests that one of several queues may make in its turn, where they share a limit.
  static constexpr std::uint32_t kTurn = 8;
  // Bytes of a read that a vCPU's thread may make itself: about what waking another costs.
  static constexpr std::uint64_t kMostAtOnce = 16384;

  // Checks `config` and opens its disk. Errors name the drive.
  static Result<std::unique_ptr<Block>> create(const BlockConfig& config,
                                               const DeviceServices& services);
  // As create(), for a driver that knows the disk as `state` says. An error when the disk has
  // become smaller, or is another in what a driver takes for fixed (kInvalid).
  static Result<std::unique_ptr<Block>> restore(const BlockConfig& config,
                                                const DeviceServices& services,
                                                const BlockState& state);
  // A device over any disk; `name` is for the log.
  Block(std::string name, std::unique_ptr<storage::Disk> disk, const BlockShape& shape);
  Block(std::string name, std::unique_ptr<storage::Disk> disk, CacheType cache)
      : Block(std::move(name), std::move(disk), BlockShape{.cache = cache}) {}
  ~Block() override;

  BlockState save() const;
  // Limits from now on, as RateLimiter::update(). `loop` is the machine thread's.
  Result<void> limit(EventLoop& loop, const RateLimiterConfig& limits);
  // limit() cannot fail after this.
  Result<void> prepare_limit(EventLoop& loop);
  BlockMetrics metrics() const;

  // Live changes, of which the driver hears; its requests under way are done before, on the disk
  // that there was. An error leaves everything as it was.
  // ----------------------------------------------------------------------------------------------

  // Puts `disk` in the place of the present one: of any size, but the same in what a driver takes
  // for fixed (kInvalid).
  Result<void> replace_disk(std::unique_ptr<storage::Disk> disk);
  // As above, the disk being what create()'s configuration makes of `path` (kState: there was
  // none).
  Result<void> replace_disk(const std::string& path);
  // Looks at the size of the file anew.
  Result<void> refresh();

  // What was written up to now is a layer for others to lie on, called `sealed_path`: as
  // storage::Disk::freeze(). The driver hears nothing of it.
  Result<bool> freeze(const std::string& sealed_path);

  DeviceTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> into) const override;
  Result<void> start(std::uint16_t index, Queue queue) override;
  std::optional<Queue> stop(std::uint16_t index) override;
  void kick(std::uint16_t index) override;
  bool kick_here(std::uint16_t index) override;

 private:
  // A request that the disk has, as one or, with ranges, as several of its own.
  struct Pending {
    Chain chain;
    storage::Op op = storage::Op::kRead;
    std::uint64_t length = 0;  // bytes of data
    bool sync_after = false;   // a write that is on stable storage before the driver hears of it
    std::uint32_t parts = 1;   // that the disk has still
    bool failed = false;
    std::uint64_t since_us = 0;
  };
  struct Lane {
    std::optional<Queue> queue;
    BatchPace pace;
    AtOncePace at_once;
    KickRoute route = KickRoute::kEvent;
  };
  // What create() was given, for replace_disk().
  struct Origin {
    BlockConfig config;
    EventLoop& loop;
    std::shared_ptr<storage::DiskRing> ring;  // of a disk that is served by one
  };

  // Changes to the disk, in device.cc
  Result<void> adopt(std::unique_ptr<storage::Disk> disk);
  Result<void> counted(Result<void> result);
  void settle_all();

  // Requests, in requests.cc
  enum class Served { kAll, kRefused, kTurnOver };
  Served serve_queue(Lane& lane, std::uint32_t& most);
  bool await(Lane& lane, std::uint32_t answers);
  void serve_waiting();
  void take_turns();
  // False: the chain waits in its queue for the rate limiter.
  bool handle(Queue& queue, Chain chain);
  bool admit(std::uint32_t type, Chain& chain);
  void make_limiter(EventLoop& loop);
  void perform(Queue& queue, Chain chain, std::uint32_t type, std::uint64_t sector);
  void transfer(const Queue& queue, Chain chain, storage::Op op, std::uint64_t sector);
  void change_ranges(Chain chain, storage::Op op);
  std::uint8_t read_ranges(Chain& chain, storage::Op op);
  bool fits(std::uint64_t sector, std::uint64_t length) const;
  void identify(Chain chain);
  void submit(std::size_t slot, storage::DiskRequest request);
  void disk_done(std::size_t slot, storage::DiskRequest request, const Result<void>& result);
  void refuse(Chain chain, std::uint8_t status);
  void answer(Chain chain, std::uint8_t status);
  void count(storage::Op op, std::uint64_t length, std::uint64_t took_us);
  void report(const Error& error);

  // Reads at once, in at_once.cc
  std::optional<std::uint64_t> read_at_once(Chain& chain);
  void weigh(Lane& lane, const AtOncePace::Run& run, std::uint64_t now);
  bool limited() const { return limiter_ && limiter_->limits(); }
  // The disk has nothing of the driver's.
  bool idle() const { return pending_.size() == free_slots_.size(); }

  // A batch: within it, answers wait for its end to be shown to the driver.
  void begin_completions() override { ++batches_; }
  void end_completions() override;
  void flush_queues();

  std::size_t park(Pending pending);
  std::vector<iovec> take_buffers();
  void keep_buffers(std::vector<iovec> buffers);

  std::string name_;
  std::unique_ptr<storage::Disk> disk_;
  const BlockShape shape_;
  std::optional<Origin> origin_;
  const bool several_processors_ = std::thread::hardware_concurrency() > 1;
  std::uint64_t sectors_;
  std::vector<Lane> lanes_;          // one a queue
  std::size_t turn_ = 0;             // whose the rate limiter's tokens are
  std::uint32_t turn_left_ = kTurn;  // requests of this turn
  unsigned batches_ = 0;             // that are open, one inside the other
  // Requests under way, in slots that are used again: nothing is allocated for one more request.
  std::vector<std::optional<Pending>> pending_;
  std::vector<std::size_t> free_slots_;
  std::vector<std::vector<iovec>> spare_buffers_;
  std::vector<storage::DiskRequest> ranges_;  // of the request that is looked at
  std::uint32_t small_reads_ = 0;             // of the run that is under way
  std::unique_ptr<RateLimiter> limiter_;      // null: there never was a limit
  log::FailureLog failures_;                  // of the host
  BlockMetrics metrics_;
};

}  // namespace mote::virtio
