// The entropy device (VIRTIO 1.2, 5.4): one queue of buffers to fill with random bytes. Belongs to
// the machine thread.
#pragma once

#include <memory>
#include <optional>

#include "base/failure_log.h"
#include "virtio/device.h"
#include "virtio/rate_limiter.h"
#include "virtio/rng/config.h"
#include "virtio/rng/metrics.h"
#include "virtio/rng/source.h"
#include "virtio/rng/state.h"

namespace mote::virtio {

class Rng final : public Device {
 public:
  using Config = RngConfig;
  using State = RngState;

  static constexpr std::uint16_t kQueueSize = 256;
  // The most that a request gets, however much room it has: the driver asks again.
  static constexpr std::uint64_t kMostBytes = 65536;
  // After so many bytes others have their turn on the machine thread: well below 1 ms of it.
  static constexpr std::uint64_t kBytesATurn = 4 * kMostBytes;

  // Errors: no descriptors left for a limit's timer.
  static Result<std::unique_ptr<Rng>> create(const RngConfig& config,
                                             const DeviceServices& services);
  static Result<std::unique_ptr<Rng>> restore(const RngConfig& config,
                                              const DeviceServices& services,
                                              const RngState& state);
  // A device over any source.
  Rng(std::unique_ptr<EntropySource> source, EventLoop& loop);

  RngState save() const { return {.rate_limiter = limiter_->save()}; }
  const RngMetrics& metrics() const { return metrics_; }
  // Limits from now on, as RateLimiter::update().
  Result<void> limit(const RateLimiterConfig& limits) { return limiter_->update(limits); }

  DeviceTraits traits() const override;
  void read_config(std::uint32_t /*offset*/, std::span<std::byte> /*into*/) const override {}
  Result<void> start(std::uint16_t index, Queue queue) override;
  std::optional<Queue> stop(std::uint16_t index) override;
  void kick(std::uint16_t index) override;

 private:
  void serve_queue();
  // False: the chain waits in its queue.
  bool handle(Chain chain);
  Result<void> fill(ChainWriter& room, std::uint64_t length);
  void report(const Error& error);

  const std::unique_ptr<EntropySource> source_;
  const std::unique_ptr<RateLimiter> limiter_;
  std::optional<Queue> queue_;
  std::uint64_t this_turn_ = 0;  // bytes
  log::FailureLog failures_;     // of the host, which has no entropy
  RngMetrics metrics_;
};

}  // namespace mote::virtio
