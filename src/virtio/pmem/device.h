// Persistent memory (VIRTIO 1.2, 5.19): a file of the host that the guest has as memory. The guest
// reads and writes the host's page cache, without a copy of its own; its one request is to bring
// what it wrote to stable storage. Belongs to the machine thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/failure_log.h"
#include "memory/address_space.h"
#include "storage/file_memory.h"
#include "virtio/device.h"
#include "virtio/pmem/config.h"
#include "virtio/pmem/metrics.h"
#include "virtio/pmem/state.h"
#include "virtio/rate_limiter.h"

namespace mote::virtio {

class Pmem final : public Device {
 public:
  using Config = PmemConfig;
  using State = PmemState;

  static constexpr std::uint16_t kQueueSize = 256;

  // Opens the file and gives it to the guest, at a multiple of 2 MiB above RAM. Errors name the
  // device.
  static Result<std::unique_ptr<Pmem>> create(const PmemConfig& config,
                                              const DeviceServices& services);
  // The same at the address of `state`. An error (kInvalid) when the file has another size in 2 MiB
  // than its driver knows, or can be written where it could not, or the other way round.
  static Result<std::unique_ptr<Pmem>> restore(const PmemConfig& config,
                                               const DeviceServices& services,
                                               const PmemState& state);
  // A device over any file; `name` is for the log. With `state` as restore().
  static Result<std::unique_ptr<Pmem>> over(std::string name,
                                            std::unique_ptr<storage::FileMemory> file,
                                            const DeviceServices& services, const PmemState* state);

  // Sets limits of flushes, also while some wait.
  Result<void> limit(const RateLimiterConfig& limits) { return limiter_->update(limits); }

  const PmemMetrics& metrics() const { return metrics_; }
  // Where the guest has it.
  const memory::Range& range() const { return range_; }
  PmemState save() const;

  DeviceTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> into) const override;
  Result<void> start(std::uint16_t index, Queue queue) override;
  std::optional<Queue> stop(std::uint16_t index) override;
  void kick(std::uint16_t index) override;

 private:
  Pmem(std::string name, std::unique_ptr<storage::FileMemory> file, EventLoop& loop);
  Result<void> place(memory::AddressSpace& space, const PmemState* state);

  void serve_queue();
  bool handle(Chain chain);
  void sync_waiting();
  void synced(const Result<void>& result);
  static void answer(Chain chain, std::uint32_t response);

  std::string name_;
  std::unique_ptr<storage::FileMemory> file_;
  memory::Range range_;
  memory::Slot slot_;
  std::unique_ptr<RateLimiter> limiter_;
  std::optional<Queue> queue_;
  bool serving_ = false;          // inside serve(), which flushes once for all
  std::vector<Chain> waiting_;    // for the next sync
  std::vector<Chain> under_way_;  // answered when the sync is done
  PmemMetrics metrics_;
  log::FailureLog failures_;
};

}  // namespace mote::virtio
