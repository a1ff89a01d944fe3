#include <linux/virtio_blk.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/clock.h"
#include "virtio/block/device.h"
#include "virtio/queue/serve.h"

namespace mote::virtio {

// What the device does with requests. Its life is in device.cc.

namespace {

using storage::DiskRequest;
using storage::kSectorSize;
using storage::Op;

// Lists of buffers kept for reuse, and the longest that is worth keeping.
constexpr std::size_t kSpareLists = 32;
constexpr std::size_t kSpareCapacity = 512;

std::uint64_t now_us() { return monotonic_ns() / 1000; }

}  // namespace

// Serves at most `most` requests, which it counts down.
Block::Served Block::serve_queue(Lane& lane, std::uint32_t& most) {
  Queue& queue = *lane.queue;
  const std::uint64_t began = monotonic_ns();
  lane.pace.begin(began);
  std::uint32_t taken = 0;
  std::uint32_t together = 0;
  small_reads_ = 0;
  Served served = Served::kAll;
  begin_completions();
  serve(
      queue,
      [&](Chain chain) {
        ++taken;
        if (!handle(queue, std::move(chain))) {
          served = Served::kRefused;
        } else if (--most == 0) {
          served = Served::kTurnOver;
        }
        return served == Served::kAll;
      },
      [this] { disk_->commit(); },
      [&](std::uint32_t answers) {
        together = std::max(together, answers);
        return await(lane, answers);
      });
  end_completions();
  if (taken == 0) ++metrics_.no_avail_buffer;
  const bool stopped = served != Served::kAll || taken >= queue.size();
  weigh(lane,
        {.requests = taken, .together = stopped ? taken : together, .small_reads = small_reads_},
        began);
  if (stopped && queue.waiting()) ++metrics_.remaining_reqs_count;
  return served;
}

// What the rate limiter had refused.
void Block::serve_waiting() {
  if (lanes_.size() > 1) return take_turns();
  std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
  if (lanes_.front().queue) serve_queue(lanes_.front(), most);
}

// Queues that share a limit take turns of kTurn requests. A turn that the limiter cuts short goes
// on when it has tokens again, so that each queue gets as many, and a large request, for which it
// then waits, is not overtaken for ever.
void Block::take_turns() {
  constexpr std::size_t kRounds = kQueueSize / kTurn;
  std::size_t done = 0;  // queues in a row that had nothing more
  begin_completions();
  for (std::size_t turn = 0; turn < kRounds * lanes_.size() && done < lanes_.size(); ++turn) {
    Lane& lane = lanes_[turn_];
    const Served served = lane.queue ? serve_queue(lane, turn_left_) : Served::kAll;
    if (served == Served::kRefused) return end_completions();
    done = served == Served::kAll ? done + 1 : 0;
    turn_ = (turn_ + 1) % lanes_.size();
    turn_left_ = kTurn;
  }
  end_completions();
  if (done == lanes_.size()) return;
  // Drivers that never pause leave the thread to others.
  for (Lane& lane : lanes_) {
    if (lane.queue) lane.queue->again();
  }
}

// Looks for another request for as long as the lane's pace says.
bool Block::await(Lane& lane, std::uint32_t answers) {
  // What the disk has still is answered later, by itself; and a processor that looks must not be
  // the one that the guest runs on.
  if (!several_processors_ || !idle()) return false;
  const std::uint64_t window = lane.pace.window(answers);
  if (window == 0) return false;
  const std::uint64_t began = monotonic_ns();
  for (std::uint64_t waited = 0; waited < window; waited = monotonic_ns() - began) {
    if (lane.queue->waiting()) {
      lane.pace.came(waited);
      return true;
    }
    __builtin_ia32_pause();
  }
  lane.pace.dry(answers);
  return false;
}

void Block::end_completions() {
  // What completions submitted goes out with them.
  if (batches_ == 1) disk_->commit();
  if (--batches_ == 0) flush_queues();
}

void Block::flush_queues() {
  for (Lane& lane : lanes_) {
    if (lane.queue) lane.queue->flush();
  }
}

// One request. The header is the first 16 readable bytes and the status the last writable one,
// however the driver splits its buffers (VIRTIO 1.2, 2.7.4).
// ------------------------------------------------------------------------------------------------

bool Block::handle(Queue& queue, Chain chain) {
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
    queue.put_back(std::move(chain));
    return false;
  }
  perform(queue, std::move(chain), header->type, header->sector);
  return true;
}

bool Block::admit(std::uint32_t type, Chain& chain) {
  if (!limiter_) return true;
  std::uint64_t bytes = 0;
  if (type == VIRTIO_BLK_T_IN) bytes = chain.out().left();
  if (type == VIRTIO_BLK_T_OUT) bytes = chain.in().left();
  if (type == VIRTIO_BLK_T_WRITE_ZEROES) {
    ChainReader ahead = chain.in();
    const auto range = ahead.read<virtio_blk_discard_write_zeroes>();
    if (range) bytes = std::min(range->num_sectors * kSectorSize, storage::kMostZeroes);
  }
  return limiter_->admit(bytes);
}

void Block::perform(Queue& queue, Chain chain, std::uint32_t type, std::uint64_t sector) {
  const bool writable = !disk_->read_only();
  switch (type) {
    case VIRTIO_BLK_T_IN:
      return transfer(queue, std::move(chain), Op::kRead, sector);
    case VIRTIO_BLK_T_OUT:
      return transfer(queue, std::move(chain), Op::kWrite, sector);
    case VIRTIO_BLK_T_FLUSH:
      if (shape_.cache != CacheType::Writeback) break;
      return submit(park({.chain = std::move(chain), .op = Op::kFlush}),
                    {.op = Op::kFlush, .buffers = {}});
    case VIRTIO_BLK_T_GET_ID:
      return identify(std::move(chain));
    case VIRTIO_BLK_T_DISCARD:
      if (!writable || !disk_->traits().can_discard) break;
      return change_ranges(std::move(chain), Op::kDiscard);
    case VIRTIO_BLK_T_WRITE_ZEROES:
      if (!writable) break;
      return change_ranges(std::move(chain), Op::kWriteZeroes);
    default:
      break;
  }
  refuse(std::move(chain), VIRTIO_BLK_S_UNSUPP);
}

// Whether whole blocks, inside the disk that the driver knows.
bool Block::fits(std::uint64_t sector, std::uint64_t length) const {
  const std::uint64_t block = disk_->traits().block_size;
  return length % block == 0 && sector % (block / kSectorSize) == 0 && sector <= sectors_ &&
         length / kSectorSize <= sectors_ - sector;
}

void Block::transfer(const Queue& queue, Chain chain, Op op, std::uint64_t sector) {
  const std::uint64_t length = op == Op::kRead ? chain.out().left() : chain.in().left();
  if (!fits(sector, length)) return refuse(std::move(chain), VIRTIO_BLK_S_IOERR);
  if (op == Op::kRead && length <= kMostAtOnce) ++small_reads_;
  if (op == Op::kWrite && disk_->read_only()) return refuse(std::move(chain), VIRTIO_BLK_S_IOERR);
  std::vector<iovec> buffers = take_buffers();
  if (op == Op::kRead) {
    chain.out().room(length, buffers);
  } else {
    chain.in().lend(length, buffers);
  }
  // A driver that did not take FLUSH believes that a write is safe once it is done.
  const bool sync_after = op == Op::kWrite && shape_.cache == CacheType::Writeback &&
                          (queue.features() >> VIRTIO_BLK_F_FLUSH & 1) == 0;
  const std::size_t slot =
      park({.chain = std::move(chain), .op = op, .length = length, .sync_after = sync_after});
  submit(slot, {.op = op, .offset = sector * kSectorSize, .buffers = std::move(buffers)});
}

void Block::change_ranges(Chain chain, Op op) {
  if (const std::uint8_t status = read_ranges(chain, op); status != VIRTIO_BLK_S_OK) {
    return refuse(std::move(chain), status);
  }
  const std::size_t slot = park(
      {.chain = std::move(chain), .op = op, .parts = static_cast<std::uint32_t>(ranges_.size())});
  for (DiskRequest& range : ranges_) submit(slot, std::move(range));
}

// Fills ranges_ with what the request names; else the status that refuses it.
std::uint8_t Block::read_ranges(Chain& chain, Op op) {
  const std::uint32_t most = op == Op::kDiscard ? kMostRanges : 1;
  const std::uint64_t longest = op == Op::kDiscard ? storage::kMostDiscarded : storage::kMostZeroes;
  ranges_.clear();
  while (chain.in().left() > 0) {
    const auto range = chain.in().read<virtio_blk_discard_write_zeroes>();
    if (!range || ranges_.size() == most) return VIRTIO_BLK_S_IOERR;
    const bool unmap = (range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0;
    // VIRTIO 1.2, 5.2.6.2: unknown flags, and to unmap what is discarded anyhow.
    if ((range->flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0 ||
        (unmap && op == Op::kDiscard)) {
      return VIRTIO_BLK_S_UNSUPP;
    }
    const std::uint64_t length = std::uint64_t{range->num_sectors} * kSectorSize;
    if (length > longest || !fits(range->sector, length)) return VIRTIO_BLK_S_IOERR;
    ranges_.push_back({.op = op,
                       .offset = range->sector * kSectorSize,
                       .length = length,
                       .may_unmap = unmap,
                       .buffers = {}});
  }
  return ranges_.empty() ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

void Block::identify(Chain chain) {
  std::array<char, VIRTIO_BLK_ID_BYTES> id{};
  const std::string identity = shape_.serial ? *shape_.serial : disk_->identity();
  std::copy_n(identity.begin(), std::min(identity.size(), id.size()), id.begin());
  if (!chain.out().write(id)) return refuse(std::move(chain), VIRTIO_BLK_S_IOERR);
  answer(std::move(chain), VIRTIO_BLK_S_OK);
}

void Block::submit(std::size_t slot, DiskRequest request) {
  disk_->submit(std::move(request), [this, slot](DiskRequest done, const Result<void>& result) {
    disk_done(slot, std::move(done), result);
  });
}

void Block::disk_done(std::size_t slot, DiskRequest request, const Result<void>& result) {
  keep_buffers(std::move(request.buffers));
  Pending& waiting = *pending_[slot];
  if (waiting.sync_after && result) {
    waiting.sync_after = false;
    submit(slot, {.op = Op::kFlush, .buffers = {}});
    if (batches_ == 0) disk_->commit();
    return;
  }
  if (!result) {
    waiting.failed = true;
    report(result.error());
  }
  if (--waiting.parts > 0) return;
  Pending pending = std::move(waiting);
  pending_[slot].reset();
  free_slots_.push_back(slot);
  if (pending.failed) {
    ++metrics_.execute_fails;
  } else {
    count(pending.op, pending.length, now_us() - pending.since_us);
  }
  if (!pending.failed && pending.op == Op::kRead) pending.chain.out().filled(pending.length);
  answer(std::move(pending.chain), pending.failed ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
  if (batches_ == 0) flush_queues();
}

void Block::report(const Error& error) { failures_.tell(log::Level::kError, name_, error); }

void Block::count(Op op, std::uint64_t length, std::uint64_t took_us) {
  switch (op) {
    case Op::kRead:
      ++metrics_.read_count;
      metrics_.read_bytes += length;
      metrics_.read_agg.add(took_us);
      break;
    case Op::kWrite:
      ++metrics_.write_count;
      metrics_.write_bytes += length;
      metrics_.write_agg.add(took_us);
      break;
    case Op::kFlush:
      ++metrics_.flush_count;
      break;
    case Op::kDiscard:
      ++metrics_.discard_count;
      break;
    case Op::kWriteZeroes:
      ++metrics_.write_zeroes_count;
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
  pending.since_us = now_us();
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
