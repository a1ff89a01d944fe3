#include "base/limited_sink.h"

#include <utility>

namespace mote {

LimitedSink::LimitedSink(std::unique_ptr<ByteSink> sink, std::uint64_t size,
                         std::uint64_t refill_time_ms, std::uint64_t one_time_burst, Clock clock)
    : sink_(std::move(sink)),
      clock_(std::move(clock)),
      bucket_(TokenBucket::create(size, refill_time_ms, one_time_burst, clock_())) {}

Result<std::size_t> LimitedSink::write(std::span<const std::byte> bytes) {
  if (!bucket_) return sink_->write(bytes);
  // Byte by byte, as a bucket that is full lets more pass at once than it holds, on credit. A
  // serial port writes a few hundred at the most.
  const std::uint64_t now = clock_();
  std::size_t fitting = 0;
  for (; fitting < bytes.size() && bucket_->fits(1, now); ++fitting) bucket_->take(1);
  if (fitting > 0) {
    MOTE_TRY(const std::size_t taken, sink_->write(bytes.first(fitting)));
    bucket_->give_back(fitting - taken);
    if (taken < fitting) return taken;
  }
  dropped_.fetch_add(bytes.size() - fitting, std::memory_order_relaxed);
  return bytes.size();
}

}  // namespace mote
