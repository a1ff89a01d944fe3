#include "metadata/link.h"

// The kernel's header is C: one member there is called "class".
#define class class_
#include <linux/virtio_net.h>
#undef class
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace mote::metadata {
namespace {

using network::kHeaderSize;
using network::kMaxFrameSize;

constexpr std::size_t kMostParts = 1024;  // Link's
// A timer is set for no sooner.
constexpr std::chrono::milliseconds kSoonest{1};

std::size_t length_of(std::span<const iovec> parts) {
  std::size_t length = 0;
  for (const iovec& part : parts) length += part.iov_len;
  return length;
}

// Copies out as much of `parts` as fits `into`; the bytes copied.
std::size_t copy_out(std::span<const iovec> parts, std::span<std::byte> into) {
  std::size_t done = 0;
  for (const iovec& part : parts) {
    const std::size_t length = std::min(part.iov_len, into.size() - done);
    if (length != 0) std::memcpy(into.data() + done, part.iov_base, length);
    done += length;
  }
  return done;
}

// Copies `from` into the beginning of `parts`, as much as there is room.
void copy_in(std::span<const std::byte> from, std::span<const iovec> parts) {
  for (const iovec& part : parts) {
    const std::size_t length = std::min(part.iov_len, from.size());
    if (length != 0) std::memcpy(part.iov_base, from.data(), length);
    from = from.subspan(length);
  }
}

// What is behind the first `skipped` bytes of `parts`.
void append_rest(std::span<const iovec> parts, std::size_t skipped, std::vector<iovec>& into) {
  for (const iovec& part : parts) {
    const std::size_t here = std::min(skipped, part.iov_len);
    skipped -= here;
    if (here == part.iov_len) continue;
    into.push_back({static_cast<std::byte*>(part.iov_base) + here, part.iov_len - here});
  }
}

// A sequence number that nobody else in the guest can guess.
std::uint32_t random_number() {
  std::uint32_t number = 0;
  if (::getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number) {
    // The host has just begun its life. Time is as good as RFC 793 asks.
    number = static_cast<std::uint32_t>(Time::clock::now().time_since_epoch().count() >> 12);
  }
  return number;
}

}  // namespace

MetadataLink::MetadataLink(Service& service, std::unique_ptr<network::Link> behind)
    : behind_(std::move(behind)), end_(service, random_number) {}

Result<void> MetadataLink::watch(EventLoop& loop, Ready ready) {
  loop_ = &loop;
  ready_ = ready;
  timer_.reset();
  timer_set_.reset();
  return behind_->watch(loop, std::move(ready));
}

// Out of the guest
// ------------------------------------------------------------------------------------------------

Result<bool> MetadataLink::send(unsigned lane, std::span<const iovec> frame) {
  // What decides is read once: the guest may write other addresses there meanwhile.
  std::array<std::byte, kHeaderSize + NetworkEnd::kTelling> start;
  const std::size_t there = copy_out(frame, start);
  const std::span<std::byte> telling = std::span(start).first(there);
  if (there < kHeaderSize || !end_.is_ours(telling.subspan(kHeaderSize))) {
    return pass_on(lane, frame, telling);
  }
  const std::size_t length = std::min(length_of(frame), kMaxFrameSize);
  const auto whole = std::make_unique_for_overwrite<std::byte[]>(length);
  const std::span<std::byte> bytes(whole.get(), length);
  copy_out(frame, bytes);
  std::ranges::copy(telling, bytes.begin());
  const auto flags = static_cast<std::uint8_t>(bytes[offsetof(virtio_net_hdr_v1, flags)]);
  const Time now = Time::clock::now();
  end_.take(lane, bytes.subspan(kHeaderSize), (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0, now);
  announce_soon();
  set_timer();
  return true;
}

// Sends a frame on with the beginning that was looked at.
Result<bool> MetadataLink::pass_on(unsigned lane, std::span<const iovec> frame,
                                   std::span<std::byte> start) {
  parts_.clear();
  parts_.push_back({start.data(), start.size()});
  append_rest(frame, start.size(), parts_);
  if (parts_.size() <= kMostParts) return behind_->send(lane, parts_);
  // One part more than passes: they are put together.
  const std::size_t length = std::min(length_of(parts_), kMaxFrameSize);
  const auto whole = std::make_unique_for_overwrite<std::byte[]>(length);
  copy_out(parts_, std::span(whole.get(), length));
  const iovec one{whole.get(), length};
  return behind_->send(lane, std::span(&one, 1));
}

// Into the guest
// ------------------------------------------------------------------------------------------------

Result<std::optional<std::size_t>> MetadataLink::receive(unsigned lane,
                                                         std::span<const iovec> into) {
  if (end_.ready(lane)) {
    // The header says nothing: the frame is finished.
    std::array<std::byte, kHeaderSize + NetworkEnd::kMostFrame> frame{};
    const std::size_t length =
        end_.give(lane, std::span(frame).subspan(kHeaderSize), Time::clock::now());
    set_timer();
    if (length != 0) {
      copy_in(std::span(frame).first(kHeaderSize + length), into);
      return kHeaderSize + length;
    }
  }
  return behind_->receive(lane, into);
}

void MetadataLink::announce() {
  announcing_ = false;
  for (unsigned lane = 0; lane < lanes(); ++lane) {
    if (end_.ready(lane)) ready_(lane, {.receive = true});
  }
}

// Whoever sends is in the middle of something, and hears of answers when that is done.
void MetadataLink::announce_soon() {
  if (announcing_ || loop_ == nullptr) return;
  announcing_ = true;
  loop_->post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) announce();
  });
}

// Makes sure that tick() comes when it is due. An earlier turn than needed is let come: setting the
// timer anew for each segment would cost a system call.
void MetadataLink::set_timer() {
  const std::optional<Time> due = end_.deadline();
  if (!due || loop_ == nullptr || (timer_set_ && *timer_set_ <= *due)) return;
  const auto delay = std::max<Time::duration>(*due - Time::clock::now(), kSoonest);
  const auto set = [&]() -> Result<void> {
    if (!timer_) {
      MOTE_TRY(timer_, loop_->timer([this] { tick(); }));
    }
    return timer_->set(delay);
  };
  if (const auto done = set(); done) {
    timer_set_ = due;
  } else if (!std::exchange(complained_, true)) {
    // What the guest loses is then not sent again.
    log::error("{}: the metadata service has no timer: {}", name(), done.error().text());
  }
}

void MetadataLink::tick() {
  timer_set_.reset();
  end_.tick(Time::clock::now());
  set_timer();
  announce();
}

}  // namespace mote::metadata
