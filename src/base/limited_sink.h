// LimitedSink holds what goes to another ByteSink to a rate: what is beyond it is lost, and
// counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/byte_sink.h"
#include "base/clock.h"
#include "base/token_bucket.h"

namespace mote {

class LimitedSink final : public ByteSink {
 public:
  // Nanoseconds since some beginning.
  using Clock = std::function<std::uint64_t()>;

  // No more than `size` bytes in `refill_time_ms`, beside a burst that is there once. A size or
  // refill time of 0: no limit.
  LimitedSink(std::unique_ptr<ByteSink> sink, std::uint64_t size, std::uint64_t refill_time_ms,
              std::uint64_t one_time_burst, Clock clock = monotonic_ns);

  // Bytes that the limit refuses count as taken.
  Result<std::size_t> write(std::span<const std::byte> bytes) override;

  // Bytes lost so far. From any thread.
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  std::unique_ptr<ByteSink> sink_;
  Clock clock_;
  std::optional<TokenBucket> bucket_;
  std::atomic<std::uint64_t> dropped_ = 0;
};

}  // namespace mote
