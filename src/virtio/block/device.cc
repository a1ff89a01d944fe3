#include "virtio/block/device.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/log.h"
#include "storage/file_disk.h"
#include "virtio/queue/serve.h"

namespace mote::virtio {
namespace {

using storage::kSectorSize;
using storage::Op;

// Host failures that are logged a device; all are counted.
constexpr unsigned kMostReports = 8;
// Lists of buffers kept for reuse, and the longest that is worth keeping.
constexpr std::size_t kSpareLists = 16;
constexpr std::size_t kSpareCapacity = 512;

constexpr std::uint64_t feature(unsigned bit) { return std::uint64_t{1} << bit; }

Result<std::unique_ptr<storage::Disk>> open_disk(const BlockConfig& config) {
  MOTE_CHECK(check(config));
  const bool read_only = config.is_read_only.value_or(false);
  auto disk = storage::FileDisk::open(
      *config.path_on_host, read_only ? storage::Access::kReadOnly : storage::Access::kReadWrite);
  if (!disk) {
    return std::unexpected(
        std::move(disk.error()).within(fmt::format("drive '{}'", config.drive_id)));
  }
  return std::move(*disk);
}

}  // namespace

Block::Block(std::string name, std::unique_ptr<storage::Disk> disk, CacheType cache)
    : name_(std::move(name)),
      disk_(std::move(disk)),
      cache_(cache),
      sectors_(disk_->size() / kSectorSize) {}

Result<std::unique_ptr<Block>> Block::create(const BlockConfig& config,
                                             const DeviceServices& services) {
  MOTE_TRY(auto disk, open_disk(config));
  auto block = std::make_unique<Block>(fmt::format("drive '{}'", config.drive_id), std::move(disk),
                                       config.cache_type.value_or(CacheType::Unsafe));
  if (config.rate_limiter) MOTE_CHECK(block->limit(services.loop, *config.rate_limiter));
  return block;
}

Result<std::unique_ptr<Block>> Block::restore(const BlockConfig& config,
                                              const DeviceServices& services,
                                              const BlockState& state) {
  MOTE_TRY(auto block, create(config, services));
  if (block->sectors_ < state.sectors || block->disk_->read_only() != state.read_only) {
    return fail(ErrorKind::kInvalid,
                "drive '{}' was saved with {} sectors{} and now has {}{}: it cannot go on",
                config.drive_id, state.sectors, state.read_only ? ", read-only" : "",
                block->sectors_, block->disk_->read_only() ? ", read-only" : "");
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
  BlockState state{.sectors = sectors_, .read_only = disk_->read_only()};
  if (limiter_) state.rate_limiter = limiter_->save();
  return state;
}

Result<void> Block::limit(EventLoop& loop, const RateLimiterConfig& limits) {
  make_limiter(loop);
  return limiter_->update(limits);
}

void Block::make_limiter(EventLoop& loop) {
  if (limiter_) return;
  limiter_ = std::make_unique<RateLimiter>(loop, [this] {
    ++metrics_.rate_limiter_event_count;
    if (queue_) serve_queue();
  });
}

DeviceTraits Block::traits() const {
  std::uint64_t features = feature(VIRTIO_BLK_F_SEG_MAX) | feature(VIRTIO_BLK_F_BLK_SIZE);
  if (disk_->read_only()) features |= feature(VIRTIO_BLK_F_RO);
  if (cache_ == CacheType::Writeback) features |= feature(VIRTIO_BLK_F_FLUSH);
  return {.type = VIRTIO_ID_BLOCK,
          .features = features,
          .queue_sizes = {kQueueSize},
          .config_size = sizeof(virtio_blk_config)};
}

void Block::read_config(std::uint32_t offset, std::span<std::byte> into) const {
  virtio_blk_config config{};
  config.capacity = sectors_;
  config.seg_max = kQueueSize - 2;  // beside the header and the status
  config.blk_size = kSectorSize;
  std::memcpy(into.data(), reinterpret_cast<const std::byte*>(&config) + offset, into.size());
}

Result<void> Block::start(std::uint16_t /*index*/, Queue queue) {
  queue_ = std::move(queue);
  return {};
}

std::optional<Queue> Block::stop(std::uint16_t /*index*/) {
  if (queue_) disk_->drain();
  return std::exchange(queue_, std::nullopt);
}

void Block::kick(std::uint16_t /*index*/) {
  if (!queue_) return;
  ++metrics_.queue_event_count;
  serve_queue();
}

void Block::serve_queue() {
  serving_ = true;
  serve(*queue_, [this](Chain chain) { return handle(std::move(chain)); });
  disk_->commit();
  serving_ = false;
  queue_->flush();
}

// Requests. The header is the first 16 readable bytes and the status the last writable one, however
// the driver splits its buffers (VIRTIO 1.2, 2.7.4).
// ------------------------------------------------------------------------------------------------

bool Block::handle(Chain chain) {
  if (!chain.out().keep_tail(sizeof(std::uint8_t))) {
    // No room for a status: the driver hears that nothing was written.
    ++metrics_.invalid_reqs_count;
    std::move(chain).complete();
    return true;
  }
  const auto header = chain.in().read<virtio_blk_outhdr>();
  if (!header) {
    refuse(std::move(chain), VIRTIO_BLK_S_IOERR);
    return true;
  }
  if (!admit(header->type, chain)) {
    ++metrics_.rate_limiter_throttled_events;
    queue_->put_back(std::move(chain));
    return false;
  }
  perform(std::move(chain), header->type, header->sector);
  return true;
}

bool Block::admit(std::uint32_t type, Chain& chain) {
  if (!limiter_) return true;
  std::uint64_t bytes = 0;
  if (type == VIRTIO_BLK_T_IN) bytes = chain.out().left();
  if (type == VIRTIO_BLK_T_OUT) bytes = chain.in().left();
  return limiter_->admit(bytes);
}

void Block::perform(Chain chain, std::uint32_t type, std::uint64_t sector) {
  switch (type) {
    case VIRTIO_BLK_T_IN:
      return transfer(std::move(chain), Op::kRead, sector);
    case VIRTIO_BLK_T_OUT:
      return transfer(std::move(chain), Op::kWrite, sector);
    case VIRTIO_BLK_T_FLUSH:
      if (cache_ != CacheType::Writeback) return refuse(std::move(chain), VIRTIO_BLK_S_UNSUPP);
      return submit(park({.chain = std::move(chain), .op = Op::kFlush}), Op::kFlush, 0, {});
    case VIRTIO_BLK_T_GET_ID:
      return identify(std::move(chain));
    default:
      return refuse(std::move(chain), VIRTIO_BLK_S_UNSUPP);
  }
}

void Block::transfer(Chain chain, Op op, std::uint64_t sector) {
  const std::uint64_t length = op == Op::kRead ? chain.out().left() : chain.in().left();
  const std::uint64_t count = length / kSectorSize;
  if (length % kSectorSize != 0 || sector > sectors_ || count > sectors_ - sector) {
    return refuse(std::move(chain), VIRTIO_BLK_S_IOERR);
  }
  if (op == Op::kWrite && disk_->read_only()) return refuse(std::move(chain), VIRTIO_BLK_S_IOERR);
  std::vector<iovec> buffers = take_buffers();
  if (op == Op::kRead) {
    chain.out().room(length, buffers);
  } else {
    chain.in().lend(length, buffers);
  }
  // A driver that did not take FLUSH believes that a write is safe once it is done.
  const bool sync_after = op == Op::kWrite && cache_ == CacheType::Writeback &&
                          (queue_->features() & feature(VIRTIO_BLK_F_FLUSH)) == 0;
  const std::size_t slot =
      park({.chain = std::move(chain), .op = op, .length = length, .sync_after = sync_after});
  submit(slot, op, sector * kSectorSize, std::move(buffers));
}

void Block::identify(Chain chain) {
  std::array<char, VIRTIO_BLK_ID_BYTES> id{};
  const std::string identity = disk_->identity();
  std::copy_n(identity.begin(), std::min(identity.size(), id.size()), id.begin());
  if (!chain.out().write(id)) return refuse(std::move(chain), VIRTIO_BLK_S_IOERR);
  answer(std::move(chain), VIRTIO_BLK_S_OK);
}

void Block::submit(std::size_t slot, Op op, std::uint64_t offset, std::vector<iovec> buffers) {
  disk_->submit({.op = op, .offset = offset, .buffers = std::move(buffers)},
                [this, slot](storage::DiskRequest request, Result<void> result) {
                  disk_done(slot, std::move(request), result);
                });
}

void Block::disk_done(std::size_t slot, storage::DiskRequest request, const Result<void>& result) {
  keep_buffers(std::move(request.buffers));
  Pending& waiting = *pending_[slot];
  if (waiting.sync_after && result) {
    waiting.sync_after = false;
    return submit(slot, Op::kFlush, 0, {});
  }
  Pending pending = std::move(waiting);
  pending_[slot].reset();
  free_slots_.push_back(slot);
  count(pending, result);
  if (result && pending.op == Op::kRead) pending.chain.out().filled(pending.length);
  answer(std::move(pending.chain), result ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
  if (!serving_ && queue_) queue_->flush();
}

void Block::count(const Pending& pending, const Result<void>& result) {
  if (!result) {
    ++metrics_.execute_fails;
    if (reported_ < kMostReports) {
      ++reported_;
      log::error("{}: {}{}", name_, result.error().text(),
                 reported_ == kMostReports ? " (more of these are counted, not logged)" : "");
    }
    return;
  }
  switch (pending.op) {
    case Op::kRead:
      ++metrics_.read_count;
      metrics_.read_bytes += pending.length;
      break;
    case Op::kWrite:
      ++metrics_.write_count;
      metrics_.write_bytes += pending.length;
      break;
    case Op::kFlush:
      ++metrics_.flush_count;
      break;
    case Op::kDiscard:
    case Op::kWriteZeroes:
      break;
  }
}

void Block::refuse(Chain chain, std::uint8_t status) {
  ++metrics_.invalid_reqs_count;
  answer(std::move(chain), status);
}

void Block::answer(Chain chain, std::uint8_t status) {
  chain.out().write_tail(std::as_bytes(std::span(&status, 1)));
  std::move(chain).complete();
}

// What requests use again
// ------------------------------------------------------------------------------------------------

std::size_t Block::park(Pending pending) {
  if (free_slots_.empty()) {
    pending_.emplace_back(std::move(pending));
    return pending_.size() - 1;
  }
  const std::size_t slot = free_slots_.back();
  free_slots_.pop_back();
  pending_[slot] = std::move(pending);
  return slot;
}

std::vector<iovec> Block::take_buffers() {
  if (spare_buffers_.empty()) return {};
  auto buffers = std::move(spare_buffers_.back());
  spare_buffers_.pop_back();
  return buffers;
}

void Block::keep_buffers(std::vector<iovec> buffers) {
  if (buffers.capacity() == 0 || buffers.capacity() > kSpareCapacity) return;
  if (spare_buffers_.size() == kSpareLists) return;
  buffers.clear();
  spare_buffers_.push_back(std::move(buffers));
}

}  // namespace mote::virtio
