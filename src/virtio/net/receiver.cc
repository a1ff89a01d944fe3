#include "virtio/net/receiver.h"

#include "virtio/net/net_abi.h"

#include <algorithm>
#include <chrono>

namespace mote::virtio {
namespace {

using network::kHeaderSize;
using network::kMaxFrameSize;

// A run ends after so many frames or bytes, to let others have their turn.
constexpr unsigned kRunFrames = 256;
constexpr std::uint64_t kRunBytes = 2 << 20;
// What a system call takes (IOV_MAX), less the part for what does not fit.
constexpr std::size_t kMostParts = 1023;
// Used buffers at the front are let go of when there are so many.
constexpr std::size_t kSweep = 256;
// How long a frame waits for a driver that has given some room and not enough.
constexpr std::chrono::milliseconds kPatience{100};

constexpr std::uint64_t kNumBuffersOffset = offsetof(virtio_net_hdr_v1, num_buffers);

}  // namespace

void Receiver::start(Queue queue) {
  pace_ = {};
  mergeable_ = (queue.features() >> VIRTIO_NET_F_MRG_RXBUF & 1) != 0;
  queue_ = std::move(queue);
}

std::optional<Queue> Receiver::stop() {
  if (!queue_) return std::nullopt;
  if (frame_ != 0) give_up_frame();
  put_buffers_back();
  queue_->flush();
  return std::exchange(queue_, std::nullopt);
}

void Receiver::kick() {
  if (!queue_) return;
  ++parts_.metrics.rx_queue_event_count;
  run();
}

void Receiver::link_ready() {
  if (!queue_) return;
  ++parts_.metrics.rx_tap_event_count;
  run();
}

void Receiver::limiter_ready() {
  if (queue_) run();
}

bool Receiver::poll() {
  if (!queue_ || frame_ != 0) return false;
  if (room_ == 0 && !queue_->waiting()) return false;
  return run();
}

bool Receiver::run() {
  if (gone_) return false;
  // While frames come in, and while none are there, nothing is to be heard of the driver.
  queue_->disable_notifications();
  unsigned frames = 0;
  bool told = false;
  const std::uint64_t enough = parts_.metrics.rx_bytes_count + kRunBytes;
  pace_.begin();
  while (true) {
    if (frames == kRunFrames || parts_.metrics.rx_bytes_count >= enough) {
      queue_->again();
      break;
    }
    const std::uint64_t before = parts_.metrics.rx_bytes_count;
    const Step last = step();
    if (last == Step::kDelivered) {
      ++frames;
      told |= pace_.step(*queue_, parts_.metrics.rx_bytes_count - before);
      continue;
    }
    if (last != Step::kNoRoom || queue_->broken()) break;
    queue_->publish();
    // Where buffers came in meanwhile there may be no kick for them.
    if (!queue_->enable_notifications()) {
      wait_for_room();
      break;
    }
    queue_->disable_notifications();
  }
  if (frames > 0) ++parts_.metrics.rx_count;
  queue_->publish();
  return queue_->tell() || told;
}

Receiver::Step Receiver::step() {
  if (frame_ != 0) return settle();
  if (!gather()) return Step::kNoRoom;
  const Step taken = take_frame();
  return taken == Step::kDelivered ? settle() : taken;
}

// Takes a frame off the link.
Receiver::Step Receiver::take_frame() {
  auto length = parts_.link.receive(parts_.lane, lend_with_spill());
  if (!length) {
    ++parts_.metrics.tap_read_fails;
    gone_ = length.error().kind() == ErrorKind::kState;
    if (gone_) ++parts_.metrics.event_fails;
    parts_.report(length.error());
    return Step::kNothing;
  }
  if (!*length) return Step::kNothing;
  if (**length < kHeaderSize || **length > kMaxFrameSize) {
    ++parts_.metrics.tap_read_fails;
    return Step::kNothing;
  }
  frame_ = **length;
  direct_ = std::min<std::uint64_t>(frame_, room_);
  ++frames_taken_;
  return Step::kDelivered;
}

// Hands over the frame that was taken, as soon as there is room for all of it and the limiter lets
// it pass.
Receiver::Step Receiver::settle() {
  if (frame_ > room_ && mergeable_ && !gather() && !full_) return Step::kNoRoom;
  if (frame_ > room_) {
    give_up_frame();
    return Step::kDelivered;
  }
  if (!parts_.limiter->admit(frame_ - kHeaderSize)) {
    ++parts_.metrics.rx_rate_limiter_throttled;
    return Step::kHeldBack;
  }
  deliver();
  return Step::kDelivered;
}

// Buffers
// ------------------------------------------------------------------------------------------------

// Takes chains until there is room for the frame that waits, or for any. False: there is not enough
// for it, or none at all. Less than any frame could need is enough: most are short, and a driver
// that keeps few buffers would otherwise get none.
bool Receiver::gather() {
  const std::uint64_t wanted = frame_ != 0 ? frame_ : kMaxFrameSize;
  full_ = false;
  while (room_ < wanted && !full_ && (mergeable_ || lent_parts() == 0)) {
    auto chain = queue_->next();
    if (!chain) {
      // The ring lies: nothing goes into it any more.
      frame_ = 0;
      put_buffers_back();
      return false;
    }
    if (!*chain) break;
    full_ = !add(std::move(**chain));
  }
  return frame_ != 0 ? room_ >= frame_ : room_ > 0;
}

// Takes up `chain`; false when it has more parts than can be lent beside the others.
bool Receiver::add(Chain chain) {
  const std::uint64_t room = chain.out().left();
  const std::size_t before = iovecs_.size();
  chain.out().room(room, iovecs_);
  if (room >= kHeaderSize && lent_parts() <= kMostParts) {
    room_ += room;
    buffers_.push_back({.chain = std::move(chain), .room = room, .parts = iovecs_.size() - before});
    return true;
  }
  const bool hopeless = room < kHeaderSize || iovecs_.size() - before > kMostParts;
  iovecs_.resize(before);
  if (!hopeless) {
    queue_->put_back(std::move(chain));
    return false;
  }
  // No frame can begin in it (VIRTIO 1.2, 5.1.6.3.1).
  ++parts_.metrics.rx_fails;
  std::move(chain).complete();
  return true;
}

std::span<const iovec> Receiver::lend_with_spill() {
  iovecs_.reserve(iovecs_.size() + 1);
  const auto lent = std::span(iovecs_).subspan(first_iovec_);
  if (room_ >= kMaxFrameSize) return lent;
  if (!spill_) spill_ = std::make_unique_for_overwrite<std::byte[]>(kMaxFrameSize);
  // Taken back at once; what is lent has been read by then.
  iovecs_.push_back({spill_.get(), kMaxFrameSize - room_});
  const std::span<const iovec> all(lent.data(), lent.size() + 1);
  iovecs_.pop_back();
  return all;
}

void Receiver::deliver() {
  std::uint16_t count = 0;
  for (std::uint64_t room = 0; room < frame_; ++count) {
    room += buffers_[first_buffer_ + count].room;
  }
  std::span<const std::byte> rest(spill_.get(), frame_ - direct_);
  std::uint64_t left = frame_;
  for (std::size_t i = 0; i < count; ++i) {
    Buffer& buffer = buffers_[first_buffer_ + i];
    ChainWriter& out = buffer.chain.out();
    const std::uint64_t here = std::min(left, buffer.room);
    const std::uint64_t there_already = std::min(here, direct_);
    out.filled(there_already);
    if (here > there_already) {
      static_cast<void>(out.write(rest.first(here - there_already)));
      rest = rest.subspan(here - there_already);
    }
    if (i == 0) out.rewrite(kNumBuffersOffset, std::as_bytes(std::span(&count, 1)));
    left -= here;
    direct_ -= there_already;
    std::move(buffer.chain).complete();
  }
  drop_front(count);
  ++parts_.metrics.rx_packets_count;
  parts_.metrics.rx_bytes_count += frame_;
  frame_ = 0;
}

void Receiver::drop_front(std::size_t buffers) {
  for (std::size_t i = 0; i < buffers; ++i) {
    const Buffer& buffer = buffers_[first_buffer_ + i];
    room_ -= buffer.room;
    first_iovec_ += buffer.parts;
  }
  first_buffer_ += buffers;
  if (first_buffer_ < kSweep && first_buffer_ < buffers_.size()) return;
  buffers_.erase(buffers_.begin(), buffers_.begin() + static_cast<std::ptrdiff_t>(first_buffer_));
  iovecs_.erase(iovecs_.begin(), iovecs_.begin() + static_cast<std::ptrdiff_t>(first_iovec_));
  first_buffer_ = first_iovec_ = 0;
}

// In the reverse order of their taking, so that each is the last.
void Receiver::put_buffers_back() {
  while (buffers_.size() > first_buffer_) {
    queue_->put_back(std::move(buffers_.back().chain));
    buffers_.pop_back();
  }
  buffers_.clear();
  iovecs_.clear();
  first_buffer_ = first_iovec_ = 0;
  room_ = 0;
}

void Receiver::give_up_frame() {
  ++parts_.metrics.rx_fails;
  frame_ = direct_ = 0;
}

// The driver is to give more buffers. A frame does not wait for that for ever, as a driver may want
// to see those that it gave come back first.
void Receiver::wait_for_room() {
  ++parts_.metrics.no_rx_avail_buffer;
  if (frame_ == 0 || patience_set_) return;
  if (!patience_) {
    auto timer = parts_.loop.timer([this] { patience_ends(); });
    if (!timer) return give_up_frame();
    patience_ = std::move(*timer);
  }
  if (!patience_->set(kPatience)) return give_up_frame();
  patience_set_ = true;
  frame_waited_for_ = frames_taken_;
}

void Receiver::patience_ends() {
  patience_set_ = false;
  if (!queue_ || frame_ == 0) return;
  if (frame_waited_for_ == frames_taken_) give_up_frame();
  run();
}

}  // namespace mote::virtio
