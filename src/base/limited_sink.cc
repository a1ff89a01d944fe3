#include "base/limited_sink.h"

#include <chrono>
#include <utility>

namespace mote {

std::uint64_t LimitedSink::monotonic_clock() {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

LimitedSink::LimitedSink(std::unique_ptr<ByteSink> sink, std::uint64_t size,
                         std::uint64_t refill_time_ms, std::uint64_t one_time_burst, Clock clock)
    : sink_(std::move(sink)),
      clock_(std::move(clock)),
      bucket_(TokenBucket::create(size, refill_time_ms, one_time_burst, clock_())) {}

Result<std::size_t> LimitedSink::write(std::span<const std::byte> bytes) {
  if (!bucket_) return sink_->write(bytes);
  // A serial port writes a byte at a time, so all or nothing loses no more than it must.
  if (!bucket_->fits(bytes.size(), clock_())) {
    dropped_.fetch_add(bytes.size(), std::memory_order_relaxed);
    return bytes.size();
  }
  MOTE_TRY(const std::size_t taken, sink_->write(bytes));
  bucket_->take(taken);
  return taken;
}

}  // namespace mote
