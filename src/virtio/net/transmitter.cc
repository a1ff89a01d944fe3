#include "virtio/net/transmitter.h"

#include <linux/if_ether.h>

namespace mote::virtio {
namespace {

using network::kEthernetHeaderSize;
using network::kHeaderSize;
using network::kMaxFrameSize;

// As the receiver's.
constexpr unsigned kRunFrames = 256;
constexpr std::uint64_t kRunBytes = 2 << 20;

}  // namespace

void Transmitter::start(Queue queue) {
  queue_ = std::move(queue);
  pace_ = {};
  blocked_ = false;
}

std::optional<Queue> Transmitter::stop() { return std::exchange(queue_, std::nullopt); }

bool Transmitter::kick() {
  if (!queue_) return false;
  ++parts_.metrics.tx_queue_event_count;
  return !blocked_ && run();
}

void Transmitter::tell(bool heard) {
  if (queue_) queue_->tell(heard);
}

void Transmitter::link_ready() {
  if (!queue_ || !blocked_) return;
  blocked_ = false;
  run();
  tell(false);
}

void Transmitter::limiter_ready() {
  if (!queue_ || blocked_) return;
  run();
  tell(false);
}

// Whether frames were taken off the queue, of which the driver is still to be told.
bool Transmitter::run() {
  queue_->disable_notifications();
  unsigned frames = 0;
  const std::uint64_t enough = parts_.metrics.tx_bytes_count + kRunBytes;
  pace_.begin();
  while (true) {
    if (frames == kRunFrames || parts_.metrics.tx_bytes_count >= enough) {
      ++parts_.metrics.tx_remaining_reqs_count;
      queue_->again();
      break;
    }
    auto chain = queue_->next();
    if (!chain) break;
    if (!*chain) {
      queue_->publish();
      if (!queue_->enable_notifications()) break;
      queue_->disable_notifications();
      continue;
    }
    const std::uint64_t length = (*chain)->in().left();
    if (!send(**chain)) {
      queue_->put_back(std::move(**chain));
      break;
    }
    std::move(**chain).complete();
    ++frames;
    pace_.step(*queue_, length);
  }
  if (frames > 0) {
    ++parts_.metrics.tx_count;
  } else {
    ++parts_.metrics.no_tx_avail_buffer;
  }
  queue_->publish();
  return frames > 0;
}

// False: the link has no room, or the limiter holds the frame back; it is to be sent later. All
// else is done with it.
bool Transmitter::send(Chain& chain) {
  const std::uint64_t length = chain.in().left();
  if (length < kHeaderSize + kEthernetHeaderSize || length > kMaxFrameSize) {
    ++parts_.metrics.tx_malformed_frames;
    ++parts_.metrics.tx_fails;
    return true;
  }
  if (gone_) {
    ++parts_.metrics.tx_fails;
    return true;
  }
  if (!parts_.limiter->admit(length - kHeaderSize)) {
    ++parts_.metrics.tx_rate_limiter_throttled;
    return false;
  }
  const ChainReader start = chain.in();
  iovecs_.clear();
  chain.in().lend(length, iovecs_);
  const auto sent = [&] {
    const LatencyScope took(parts_.metrics.tap_write_agg);
    return parts_.link.send(parts_.lane, iovecs_);
  }();
  if (!sent) {
    failed(sent.error());
    return true;
  }
  if (!*sent) {
    blocked_ = true;
    parts_.limiter->refund(length - kHeaderSize);
    return false;
  }
  if (mac_) check_source(start);
  ++parts_.metrics.tx_packets_count;
  parts_.metrics.tx_bytes_count += length;
  return true;
}

void Transmitter::failed(const Error& error) {
  ++parts_.metrics.tx_fails;
  if (error.kind() == ErrorKind::kInvalid) {
    // What the driver wrote into the header, or the frame, is nonsense.
    ++parts_.metrics.tx_malformed_frames;
    return;
  }
  ++parts_.metrics.tap_write_fails;
  if (error.kind() == ErrorKind::kState) {
    gone_ = true;
    ++parts_.metrics.event_fails;
  }
  parts_.report(error);
}

// The frame was read once already when it was sent, and may be another by now: this is a count for
// the curious, no filter.
void Transmitter::check_source(ChainReader frame) {
  struct Start {
    std::array<std::uint8_t, kHeaderSize + ETH_ALEN> before;
    network::MacAddress source;
  };
  const auto start = frame.read<Start>();
  if (start && start->source != *mac_) ++parts_.metrics.tx_spoofed_mac_count;
}

}  // namespace mote::virtio
