#include "virtio/block/device.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "virtio/block/open_disk.h"

namespace mote::virtio {

// The device's life and what its driver is told. What it does with requests is in requests.cc.

namespace {

using storage::DiskTraits;
using storage::kSectorSize;

constexpr std::uint64_t feature(unsigned bit) { return std::uint64_t{1} << bit; }

constexpr std::uint32_t sectors_of(std::uint64_t bytes) {
  return static_cast<std::uint32_t>(bytes / kSectorSize);
}

// Whether a driver can go on with `now` that knows the disk as `before`.
Result<void> check_same(const std::string& name, const DiskTraits& before, bool was_read_only,
                        const storage::Disk& now) {
  const DiskTraits& traits = now.traits();
  if (now.read_only() != was_read_only || traits.can_discard != before.can_discard) {
    return fail(ErrorKind::kInvalid, "{}: the new disk can{} be written, and the old one could{}",
                name, now.read_only() ? "not" : "", was_read_only ? "not" : "");
  }
  if (traits.block_size != before.block_size) {
    return fail(ErrorKind::kInvalid, "{}: the new disk has blocks of {} bytes, and the old one {}",
                name, traits.block_size, before.block_size);
  }
  return {};
}

}  // namespace

Block::Block(std::string name, std::unique_ptr<storage::Disk> disk, const BlockShape& shape)
    : name_(std::move(name)),
      disk_(std::move(disk)),
      shape_(shape),
      sectors_(disk_->size() / kSectorSize),
      lanes_(shape.queues) {
  disk_->set_completion_listener(this);
}

Block::~Block() {
  // Requests that the disk has hold chains and slots of this object.
  disk_->drain();
  disk_->set_completion_listener(nullptr);
}

Result<std::unique_ptr<Block>> Block::create(const BlockConfig& config,
                                             const DeviceServices& services) {
  MOTE_CHECK(check(config));
  std::shared_ptr<storage::DiskRing> ring;
  MOTE_TRY(auto disk, open_disk(config, services.loop, &ring));
  auto block =
      std::make_unique<Block>(fmt::format("drive '{}'", config.drive_id), std::move(disk),
                              BlockShape{.cache = config.cache_type.value_or(CacheType::Unsafe),
                                         .queues = static_cast<std::uint16_t>(config.num_queues),
                                         .serial = config.serial});
  block->origin_.emplace(config, services.loop, std::move(ring));
  if (config.rate_limiter) MOTE_CHECK(block->limit(services.loop, *config.rate_limiter));
  return block;
}

Result<std::unique_ptr<Block>> Block::restore(const BlockConfig& config,
                                              const DeviceServices& services,
                                              const BlockState& state) {
  MOTE_TRY(auto block, create(config, services));
  const storage::Disk& disk = *block->disk_;
  if (block->sectors_ < state.sectors || disk.read_only() != state.read_only) {
    return fail(ErrorKind::kInvalid,
                "drive '{}' was saved with {} sectors{} and now has {}{}: it cannot go on",
                config.drive_id, state.sectors, state.read_only ? ", read-only" : "",
                block->sectors_, disk.read_only() ? ", read-only" : "");
  }
  if (disk.traits().block_size != state.block_size) {
    return fail(ErrorKind::kInvalid,
                "drive '{}' was saved with blocks of {} bytes and now has blocks of {}: it cannot "
                "go on",
                config.drive_id, state.block_size, disk.traits().block_size);
  }
  if (!state.lies_on.empty() && disk.lies_on() != state.lies_on) {
    return fail(ErrorKind::kInvalid,
                "drive '{}' lies on another image or layer than when it was saved, or that was "
                "changed since: its guest's memory makes no sense on this",
                config.drive_id);
  }
  // A disk that has grown stays as large as its driver knows it.
  block->sectors_ = state.sectors;
  if (state.rate_limiter) {
    block->make_limiter(services.loop);
    MOTE_CHECK(block->limiter_->restore(*state.rate_limiter));
  }
  return block;
}

BlockState Block::save() const {
  BlockState state{.sectors = sectors_,
                   .read_only = disk_->read_only(),
                   .block_size = disk_->traits().block_size,
                   .lies_on = disk_->lies_on()};
  if (limiter_) state.rate_limiter = limiter_->save();
  return state;
}

Result<void> Block::limit(EventLoop& loop, const RateLimiterConfig& limits) {
  make_limiter(loop);
  return limiter_->update(limits);
}

Result<void> Block::prepare_limit(EventLoop& loop) {
  make_limiter(loop);
  return limiter_->prepare();
}

void Block::make_limiter(EventLoop& loop) {
  if (limiter_) return;
  limiter_ = std::make_unique<RateLimiter>(loop, [this] {
    ++metrics_.rate_limiter_event_count;
    serve_waiting();
  });
}

BlockMetrics Block::metrics() const {
  BlockMetrics metrics = metrics_;
  metrics.io_engine_throttled_events += disk_->throttled();
  return metrics;
}

// Live changes
// ------------------------------------------------------------------------------------------------

Result<void> Block::counted(Result<void> result) {
  ++(result ? metrics_.update_count : metrics_.update_fails);
  return result;
}

Result<void> Block::adopt(std::unique_ptr<storage::Disk> disk) {
  MOTE_CHECK(check_same(name_, disk_->traits(), disk_->read_only(), *disk));
  settle_all();
  disk_->set_completion_listener(nullptr);
  metrics_.io_engine_throttled_events += disk_->throttled();
  disk_ = std::move(disk);
  disk_->set_completion_listener(this);
  sectors_ = disk_->size() / kSectorSize;
  config_changed();
  return {};
}

Result<void> Block::replace_disk(std::unique_ptr<storage::Disk> disk) {
  return counted(adopt(std::move(disk)));
}

Result<void> Block::replace_disk(const std::string& path) {
  if (!origin_) return fail(ErrorKind::kState, "{} was not made of a file", name_);
  BlockConfig config = origin_->config;
  config.path_on_host = path;
  if (auto checked = check(config); !checked) return counted(std::move(checked));
  auto disk = open_disk(config, origin_->loop, &origin_->ring);
  if (!disk) return counted(detail::take_error(disk));
  MOTE_CHECK(replace_disk(std::move(*disk)));
  origin_->config = std::move(config);
  return {};
}

Result<void> Block::refresh() {
  if (auto refreshed = disk_->refresh(); !refreshed) {
    return counted(std::unexpected(std::move(refreshed.error()).within(name_)));
  }
  const std::uint64_t sectors = disk_->size() / kSectorSize;
  if (std::exchange(sectors_, sectors) != sectors) config_changed();
  return counted({});
}

Result<bool> Block::freeze(const std::string& sealed_path) {
  settle_all();
  auto sealed = disk_->freeze(sealed_path);
  if (!sealed) return std::unexpected(std::move(sealed.error()).within(name_));
  if (*sealed && origin_) origin_->config.layers.push_back(sealed_path);
  return sealed;
}

// What the driver is told
// ------------------------------------------------------------------------------------------------

DeviceTraits Block::traits() const {
  std::uint64_t features = feature(VIRTIO_BLK_F_SEG_MAX) | feature(VIRTIO_BLK_F_BLK_SIZE) |
                           feature(VIRTIO_BLK_F_TOPOLOGY);
  if (disk_->read_only()) {
    features |= feature(VIRTIO_BLK_F_RO);
  } else {
    features |= feature(VIRTIO_BLK_F_WRITE_ZEROES);
    if (disk_->traits().can_discard) features |= feature(VIRTIO_BLK_F_DISCARD);
  }
  if (shape_.cache == CacheType::Writeback) features |= feature(VIRTIO_BLK_F_FLUSH);
  if (lanes_.size() > 1) features |= feature(VIRTIO_BLK_F_MQ);
  return {.type = VIRTIO_ID_BLOCK,
          .features = features,
          .queue_sizes = std::vector<std::uint16_t>(lanes_.size(), kQueueSize),
          .config_size = sizeof(virtio_blk_config)};
}

void Block::read_config(std::uint32_t offset, std::span<std::byte> into) const {
  const DiskTraits& traits = disk_->traits();
  virtio_blk_config config{};
  config.capacity = sectors_;
  config.seg_max = kQueueSize - 2;  // beside the header and the status
  config.blk_size = traits.block_size;
  // In blocks from here on.
  const std::uint32_t physical = traits.physical_block_size / traits.block_size;
  config.physical_block_exp = static_cast<std::uint8_t>(std::bit_width(physical) - 1);
  config.min_io_size = static_cast<std::uint16_t>(physical);
  config.opt_io_size = traits.optimal_io_size / traits.block_size;
  config.num_queues = static_cast<std::uint16_t>(lanes_.size());
  config.max_discard_sectors = sectors_of(storage::kMostDiscarded);
  config.max_discard_seg = kMostRanges;
  config.discard_sector_alignment = sectors_of(traits.discard_granularity);
  config.max_write_zeroes_sectors = sectors_of(storage::kMostZeroes);
  config.max_write_zeroes_seg = 1;
  config.write_zeroes_may_unmap = traits.can_discard ? 1 : 0;
  std::memcpy(into.data(), reinterpret_cast<const std::byte*>(&config) + offset, into.size());
}

// Start and stop
// ------------------------------------------------------------------------------------------------

Result<void> Block::start(std::uint16_t index, Queue queue) {
  lanes_[index].queue = std::move(queue);
  return {};
}

std::optional<Queue> Block::stop(std::uint16_t index) {
  if (!lanes_[index].queue) return std::nullopt;
  settle_all();
  return std::exchange(lanes_[index].queue, std::nullopt);
}

// Returns when nothing is under way and the driver has been shown all of it.
void Block::settle_all() {
  begin_completions();
  disk_->drain();
  end_completions();
}

void Block::kick(std::uint16_t index) {
  if (!lanes_[index].queue) return;
  ++metrics_.queue_event_count;
  std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
  serve_queue(lanes_[index], most);
}

}  // namespace mote::virtio
