#include "virtio/vhost_user_block/device.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <sys/epoll.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/log.h"

namespace mote::virtio {
namespace {

constexpr std::uint64_t feature(unsigned bit) { return std::uint64_t{1} << bit; }

// What a driver may be offered when the backend offers it: all that is said by the features and by
// configuration space alone.
constexpr std::uint64_t kBlockFeatures =
    feature(VIRTIO_BLK_F_SIZE_MAX) | feature(VIRTIO_BLK_F_SEG_MAX) | feature(VIRTIO_BLK_F_RO) |
    feature(VIRTIO_BLK_F_BLK_SIZE) | feature(VIRTIO_BLK_F_TOPOLOGY) |
    feature(VIRTIO_BLK_F_DISCARD) | feature(VIRTIO_BLK_F_WRITE_ZEROES);

// A backend that restarts is asked for ten times a second, and once a second after a while.
constexpr std::chrono::milliseconds kRetry{100};
constexpr std::chrono::milliseconds kSlowRetry{1000};
constexpr unsigned kQuickRetries = 50;
constexpr unsigned kMostBadGreetings = 3;

std::uint64_t microseconds_since(std::chrono::steady_clock::time_point start) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                        std::chrono::steady_clock::now() - start)
                                        .count());
}

}  // namespace

VhostUserBlock::VhostUserBlock(const BlockConfig& config, const DeviceServices& services)
    : name_(fmt::format("drive '{}'", config.drive_id)),
      path_(*config.socket),
      cache_(config.cache_type.value_or(CacheType::Unsafe)),
      loop_(services.loop),
      memory_(services.memory) {}

VhostUserBlock::~VhostUserBlock() = default;

Result<std::unique_ptr<VhostUserBlock>> VhostUserBlock::create(const BlockConfig& config,
                                                               const DeviceServices& services) {
  const auto start = std::chrono::steady_clock::now();
  MOTE_CHECK(check(config));
  std::unique_ptr<VhostUserBlock> device(new VhostUserBlock(config, services));
  MOTE_CHECK_WITHIN(device->connect(), "{}", device->name_);
  device->features_ = device->offer();
  device->ring_features_ = device->backend_->features() & kRingFeatures;
  MOTE_TRY(device->retry_, services.loop.timer([self = device.get()] { self->come_back(); }));
  device->metrics_.init_time_us = microseconds_since(start);
  return device;
}

Result<std::unique_ptr<VhostUserBlock>> VhostUserBlock::restore(const BlockConfig& config,
                                                                const DeviceServices& services,
                                                                const VhostUserBlockState& state) {
  MOTE_TRY(auto device, create(config, services));
  if ((state.features & ~device->features_) != 0 || device->sectors() < state.sectors) {
    return fail(ErrorKind::kInvalid,
                "{} was saved with {} sectors and features {:#x}, and its backend now has {} and "
                "{:#x}: it cannot go on",
                device->name_, state.sectors, state.features, device->sectors(), device->features_);
  }
  device->features_ = state.features;
  return device;
}

VhostUserBlockState VhostUserBlock::save() const {
  return {.features = features_, .sectors = sectors()};
}

std::uint64_t VhostUserBlock::offer() const {
  std::uint64_t wanted = kBlockFeatures;
  if (cache_ == CacheType::Writeback) wanted |= feature(VIRTIO_BLK_F_FLUSH);
  return backend_->features() & wanted;
}

std::uint64_t VhostUserBlock::sectors() const {
  std::uint64_t capacity = 0;
  std::memcpy(&capacity, config_.data() + offsetof(virtio_blk_config, capacity), sizeof capacity);
  return capacity;
}

DeviceTraits VhostUserBlock::traits() const {
  return {.type = VIRTIO_ID_BLOCK,
          .features = features_,
          .queue_sizes = {kQueueSize},
          .config_size = static_cast<std::uint32_t>(config_.size()),
          .queues_elsewhere = true,
          .ring_features = ring_features_};
}

void VhostUserBlock::read_config(std::uint32_t offset, std::span<std::byte> into) const {
  std::memcpy(into.data(), config_.data() + offset, into.size());
}

// The backend
// ------------------------------------------------------------------------------------------------

Result<void> VhostUserBlock::connect() {
  MOTE_TRY(vhost_user::Channel channel, vhost_user::Channel::connect(path_));
  return adopt(std::move(channel));
}

Result<void> VhostUserBlock::adopt(vhost_user::Channel channel) {
  MOTE_TRY(backend_, vhost_user::Frontend::create(std::move(channel), 1));
  auto copied = copy_config();
  if (!copied) {
    backend_.reset();
    return detail::take_error(copied);
  }
  auto watch = loop_.watch(backend_->fd(), EPOLLIN | EPOLLRDHUP, [this](std::uint32_t) {
    // It speaks when it is spoken to, or ends.
    lost(Error(ErrorKind::kIo, "its vhost-user backend is gone"));
  });
  if (!watch) {
    backend_.reset();
    return detail::take_error(watch);
  }
  watch_ = std::move(*watch);
  return {};
}

// Whether it is another than before.
Result<bool> VhostUserBlock::copy_config() {
  ConfigSpace config{};
  if (auto read = backend_->read_config(config); !read) {
    ++metrics_.cfg_fails;
    return detail::take_error(read);
  }
  return std::exchange(config_, config) != config;
}

Result<void> VhostUserBlock::refresh() {
  const auto start = std::chrono::steady_clock::now();
  if (!backend_) return fail(ErrorKind::kState, "{}: its vhost-user backend is gone", name_);
  MOTE_TRY(const bool changed, copy_config());
  if (changed) config_changed();
  metrics_.config_change_time_us = microseconds_since(start);
  return {};
}

// Gives the backend the queue, from `next_avail` on.
Result<void> VhostUserBlock::hand_over(std::uint16_t next_avail) {
  vhost_user::Frontend& backend = *backend_;
  MOTE_CHECK(backend.set_up(queue_->features(), memory_));
  if (backend.can(vhost_user::kInflight)) {
    if (!inflight_) {
      MOTE_TRY(inflight_, backend.make_inflight(1, queue_->size()));
    }
    MOTE_CHECK(backend.set_inflight(*inflight_));
  }
  QueueWiring wiring = queue_->wiring();
  wiring.next_avail = next_avail;
  if (wiring.interrupt_fd < 0) {
    return fail(ErrorKind::kUnsupported, "its interrupt is none that another process can raise");
  }
  return backend.start_queue(0, wiring, memory_);
}

Result<void> VhostUserBlock::start(std::uint16_t /*index*/, Queue queue) {
  const auto start = std::chrono::steady_clock::now();
  queue_ = std::move(queue);
  Result<void> started;
  if (!backend_) started = connect();
  if (started) started = hand_over(queue_->wiring().next_avail);
  if (!started) {
    ++metrics_.activate_fails;
    queue_.reset();
    inflight_.reset();
    watch_.cancel();
    backend_.reset();
    return started;
  }
  metrics_.activate_time_us = microseconds_since(start);
  return {};
}

std::optional<Queue> VhostUserBlock::stop(std::uint16_t /*index*/) {
  if (!queue_) return std::nullopt;
  static_cast<void>(retry_.disarm());
  if (backend_) {
    if (auto base = backend_->stop_queue(0); base) {
      queue_->stopped_at(*base);
      inflight_.reset();
      return std::exchange(queue_, std::nullopt);
    } else {
      ++metrics_.disconnects;
      log::warning("{}: {}", name_, base.error().text());
      watch_.cancel();
      backend_.reset();
    }
  }
  // It died with requests under way: its notes are kept, for whoever goes on with the queue.
  queue_->stopped_at(queue_->used_index());
  return std::exchange(queue_, std::nullopt);
}

void VhostUserBlock::kick(std::uint16_t /*index*/) {
  if (queue_) signal_eventfd(queue_->wiring().kick_fd);
}

// Its end, and its return
// ------------------------------------------------------------------------------------------------

void VhostUserBlock::lost(const Error& error) {
  watch_.cancel();
  backend_.reset();
  ++metrics_.disconnects;
  if (!queue_) {
    log::warning("{}: {}; it is looked for at the next start", name_, error.text());
    return;
  }
  if (!inflight_) return failed(error);
  log::warning("{}: {}; requests wait for its return", name_, error.text());
  retries_ = bad_greetings_ = 0;
  come_back();
}

void VhostUserBlock::retry() {
  ++retries_;
  if (auto set = retry_.set(retries_ < kQuickRetries ? kRetry : kSlowRetry); !set) {
    failed(set.error());
  }
}

void VhostUserBlock::come_back() {
  if (!queue_ || backend_) return;
  auto channel = vhost_user::Channel::connect(path_);
  if (!channel) return retry();
  auto resumed = adopt(std::move(*channel));
  if (resumed) resumed = resume_with_backend();
  if (resumed) {
    bad_greetings_ = 0;
    ++metrics_.reconnects;
    return log::info("{}: its vhost-user backend is back", name_);
  }
  watch_.cancel();
  backend_.reset();
  // It may have ended once more. One that listens and does not keep to the protocol holds up this
  // thread each time.
  if (++bad_greetings_ < kMostBadGreetings) return retry();
  failed(resumed.error());
}

Result<void> VhostUserBlock::resume_with_backend() {
  const std::uint64_t missing = queue_->features() & ~backend_->features();
  if (missing != 0 || !backend_->can(vhost_user::kInflight)) {
    return fail(ErrorKind::kUnsupported,
                "the vhost-user backend that is back lacks features ({:#x}) of the one before",
                missing);
  }
  // Whatever else the one before took from the ring stands in its notes.
  MOTE_CHECK(hand_over(queue_->used_index()));
  config_changed();
  // Kicks and interrupts may have died with the one before.
  const QueueWiring wiring = queue_->wiring();
  signal_eventfd(wiring.kick_fd);
  signal_eventfd(wiring.interrupt_fd);
  return {};
}

}  // namespace mote::virtio
