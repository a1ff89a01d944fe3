#include <linux/virtio_blk.h>

#include "base/clock.h"
#include "virtio/block/device.h"

namespace mote::virtio {

// Reads that are answered on the thread of the vCPU that asks for them.

using storage::Op;

// Nothing but a read that the disk has at hand is done here. All else, also what is wrong with a
// request, is left to kick() as if it had not been looked at.
bool Block::kick_here(std::uint16_t index) {
  Lane& lane = lanes_[index];
  if (!lane.queue || !lane.at_once.on() || limited() || !idle()) return false;
  const std::uint64_t now = monotonic_ns();
  if (lane.at_once.try_other(now)) {
    lane.pace.try_next();
    return false;
  }
  auto chain = lane.queue->next();
  if (!chain) return true;  // the ring lies, as its host knows by now
  if (!*chain) return false;
  const auto length = read_at_once(**chain);
  if (!length) {
    lane.queue->put_back(std::move(**chain));
    return false;
  }
  answer(std::move(**chain), VIRTIO_BLK_S_OK);
  lane.queue->flush();
  const std::uint64_t done = monotonic_ns();
  count(Op::kRead, *length, (done - now) / 1000);
  lane.pace.begin(now);
  lane.at_once.answered(now, done);
  // More than one at a time: the machine thread sees how many there are.
  if (lane.queue->enable_notifications()) return false;
  ++metrics_.queue_event_count;
  return true;
}

// The bytes that the chain has then; nothing: it is no read that the disk has at hand.
std::optional<std::uint64_t> Block::read_at_once(Chain& chain) {
  if (!chain.out().keep_tail(sizeof(std::uint8_t))) return std::nullopt;
  const auto header = chain.in().read<virtio_blk_outhdr>();
  const std::uint64_t length = chain.out().left();
  if (!header || header->type != VIRTIO_BLK_T_IN) return std::nullopt;
  if (length > kMostAtOnce || !fits(header->sector, length)) return std::nullopt;
  storage::DiskRequest request{
      .op = Op::kRead, .offset = header->sector * storage::kSectorSize, .buffers = take_buffers()};
  chain.out().room(length, request.buffers);
  const bool done = disk_->read_at_once(request);
  keep_buffers(std::move(request.buffers));
  if (!done) return std::nullopt;
  chain.out().filled(length);
  return length;
}

// What the machine thread served tells how the next kicks are to come.
void Block::weigh(Lane& lane, const AtOncePace::Run& run, std::uint64_t now) {
  if (run.requests == 0 || lane.queue->broken()) return;
  lane.at_once.served(run, idle() && !limited(), now);
  const KickRoute wanted = lane.at_once.on() ? KickRoute::kHere : KickRoute::kEvent;
  if (wanted == lane.route) return;
  if (lane.queue->route_kicks(wanted)) {
    lane.route = wanted;
  } else {
    lane.at_once.give_up();
  }
}

}  // namespace mote::virtio
