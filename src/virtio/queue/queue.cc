#include "virtio/queue/queue.h"

#include "virtio/queue/ring.h"
#include "virtio/queue/walk.h"

namespace mote::virtio {

Result<Queue> Queue::create(const QueueContext& context, const QueueAddresses& addresses) {
  auto ring = Ring::create(context, addresses);
  if (!ring) {
    return std::unexpected(
        std::move(ring.error()).within(fmt::format("queue {} cannot start", context.index)));
  }
  return Queue(std::move(*ring));
}

Result<Queue> Queue::restore(const QueueContext& context, const QueueAddresses& addresses,
                             const QueueState& state) {
  if (state.next_avail != state.next_used) {
    return fail(ErrorKind::kInvalid,
                "queue {} was saved with chains in flight: it took {} and gave back {} (modulo "
                "65536), which must be equal",
                context.index, state.next_avail, state.next_used);
  }
  MOTE_TRY(Queue queue, create(context, addresses));
  queue.ring_->load(state);
  return queue;
}

Result<std::optional<Chain>> Queue::next() {
  if (ring_->broken()) return std::nullopt;
  auto head = ring_->take_head();
  if (!head) {
    ring_->set_broken(head.error());
    return detail::take_error(head);
  }
  if (!*head) return std::nullopt;
  auto parts = ring_->borrow_parts();
  auto readable = walk_chain(*ring_, **head, parts);
  if (!readable) {
    ring_->drop_taken();
    ring_->set_broken(readable.error());
    return detail::take_error(readable);
  }
  return Chain(ring_, **head, std::move(parts), *readable);
}

void Queue::put_back(Chain chain) {
  chain.withdraw();
  ring_->untake();
}

void Queue::flush() {
  publish();
  tell();
}

bool Queue::waiting() const { return !ring_->broken() && ring_->waiting(); }
bool Queue::publish() { return ring_->publish(); }

bool Queue::tell(bool heard) {
  const QueueContext& context = ring_->context();
  if (!ring_->interrupt_wanted() || (heard && context.host->one_interrupt())) return false;
  context.host->used(context.index);
  return true;
}

void Queue::disable_notifications() { ring_->refuse_kicks(); }

bool Queue::enable_notifications() {
  if (ring_->broken()) return false;
  ring_->ask_for_kicks();
  return ring_->waiting();
}

std::uint16_t Queue::offered() const { return ring_->offered(); }
void Queue::ask_for_kick_at(std::uint16_t offered) { ring_->ask_for_kicks_at(offered); }

void Queue::again() { ring_->context().host->again(ring_->context().index); }
bool Queue::route_kicks(KickRoute route) {
  return ring_->context().host->route_kicks(ring_->context().index, route);
}

std::uint16_t Queue::index() const { return ring_->context().index; }
std::uint16_t Queue::size() const { return ring_->size(); }
std::uint64_t Queue::features() const { return ring_->context().features; }
bool Queue::broken() const { return ring_->broken(); }
std::uint32_t Queue::in_flight() const { return ring_->in_flight(); }
std::uint64_t Queue::forgotten() const { return ring_->forgotten(); }
QueueState Queue::save() const { return ring_->save(); }

QueueWiring Queue::wiring() const {
  const QueueContext& context = ring_->context();
  return {.addresses = ring_->addresses(),
          .next_avail = ring_->save().next_avail,
          .kick_fd = context.host->kick_fd(context.index),
          .interrupt_fd = context.host->interrupt_fd(context.index)};
}

void Queue::stopped_at(std::uint16_t next_avail) {
  ring_->load({.next_avail = next_avail, .next_used = next_avail});
}

std::uint16_t Queue::used_index() const { return ring_->used_index(); }

}  // namespace mote::virtio
