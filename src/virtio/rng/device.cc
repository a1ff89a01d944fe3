#include "virtio/rng/device.h"

#include <linux/virtio_ids.h>

#include <algorithm>
#include <array>
#include <utility>

#include "virtio/queue/serve.h"

namespace mote::virtio {

Rng::Rng(std::unique_ptr<EntropySource> source, EventLoop& loop)
    : source_(std::move(source)), limiter_(std::make_unique<RateLimiter>(loop, [this] {
        ++metrics_.rate_limiter_event_count;
        serve_queue();
      })) {}

Result<std::unique_ptr<Rng>> Rng::create(const RngConfig& config, const DeviceServices& services) {
  auto rng = std::make_unique<Rng>(std::make_unique<HostEntropy>(), services.loop);
  MOTE_CHECK_WITHIN(rng->limit(config.rate_limiter.value_or(RateLimiterConfig())),
                    "entropy device");
  return rng;
}

Result<std::unique_ptr<Rng>> Rng::restore(const RngConfig& config, const DeviceServices& services,
                                          const RngState& state) {
  MOTE_TRY(auto rng, create(config, services));
  if (state.rate_limiter) {
    MOTE_CHECK_WITHIN(rng->limiter_->restore(*state.rate_limiter), "entropy device");
  }
  return rng;
}

DeviceTraits Rng::traits() const {
  return {.type = VIRTIO_ID_RNG, .features = 0, .queue_sizes = {kQueueSize}, .config_size = 0};
}

Result<void> Rng::start(std::uint16_t /*index*/, Queue queue) {
  queue_ = std::move(queue);
  return {};
}

std::optional<Queue> Rng::stop(std::uint16_t /*index*/) {
  return std::exchange(queue_, std::nullopt);
}

void Rng::kick(std::uint16_t /*index*/) {
  if (!queue_) return;
  ++metrics_.entropy_event_count;
  serve_queue();
}

void Rng::serve_queue() {
  if (!queue_) return;
  this_turn_ = 0;
  serve(*queue_, [this](Chain chain) { return handle(std::move(chain)); });
}

bool Rng::handle(Chain chain) {
  const std::uint64_t wanted = std::min(chain.out().left(), kMostBytes);
  if (wanted == 0) {
    ++metrics_.entropy_event_fails;
    std::move(chain).complete();
    return true;
  }
  if (this_turn_ >= kBytesATurn) {
    queue_->put_back(std::move(chain));
    queue_->again();
    return false;
  }
  if (!limiter_->admit(wanted)) {
    ++metrics_.entropy_rate_limiter_throttled;
    queue_->put_back(std::move(chain));
    return false;
  }
  this_turn_ += wanted;
  if (const auto filled = fill(chain.out(), wanted); !filled) report(filled.error());
  const std::uint64_t given = chain.out().written();
  limiter_->refund(wanted - given, 0);
  metrics_.entropy_bytes += given;
  std::move(chain).complete();
  return true;
}

// By way of a buffer of our own: a driver that sees some bytes early learns nothing, but a source
// need not know how to write to guest memory.
Result<void> Rng::fill(ChainWriter& room, std::uint64_t length) {
  std::array<std::byte, 4096> bytes;
  while (length > 0) {
    const auto part = std::span(bytes).first(std::min<std::uint64_t>(length, bytes.size()));
    MOTE_CHECK(source_->fill(part));
    MOTE_CHECK(room.write(part));
    length -= part.size();
  }
  return {};
}

void Rng::report(const Error& error) {
  ++metrics_.host_rng_fails;
  failures_.tell(log::Level::kError, "entropy device", error);
}

}  // namespace mote::virtio
