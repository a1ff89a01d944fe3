#include "virtio/vsock/connection.h"

#include <algorithm>

#include "base/log.h"

namespace mote::virtio::vsock {

Connection::Connection(Ports ports, std::unique_ptr<HostStream> stream, Common& common,
                       const Header& request)
    : ports_(ports),
      stream_(std::move(stream)),
      common_(common),
      state_(State::kResponding),
      guest_forwarded_(request.fwd_cnt),
      guest_alloc_(request.buf_alloc) {}

Connection::Connection(Ports ports, std::unique_ptr<HostStream> stream, Common& common)
    : ports_(ports),
      stream_(std::move(stream)),
      common_(common),
      state_(State::kRequesting),
      deadline_(Clock::now() + common.times.answer) {}

Outcome Connection::begin(HostStream::Listener listener) {
  stream_->set_listener(std::move(listener));
  // A host program that gives up while the guest is being asked shows as a hang-up. A service of
  // the host is not read before the guest has its answer.
  return state_ == State::kRequesting ? watch() : Outcome::kStays;
}

Outcome Connection::watch() {
  if (hung_up_) return Outcome::kStays;
  const bool readable = state_ == State::kOpen && host_sends_ && guest_takes_data() && !readable_;
  if (auto watched = stream_->watch(readable, !tx_.empty()); !watched) {
    ++common_.metrics.conn_event_fails;
    log::debug("vsock: {}", watched.error().text());
    return Outcome::kKilled;
  }
  return Outcome::kStays;
}

// The guest's packets
// ------------------------------------------------------------------------------------------------

Outcome Connection::receive(const Header& header, ChainReader& payload) {
  if (header.op == VIRTIO_VSOCK_OP_RST) return Outcome::kEnds;
  const bool answers = state_ == State::kRequested && header.op == VIRTIO_VSOCK_OP_RESPONSE;
  if (!answers && state_ != State::kOpen) return Outcome::kKilled;
  if (header.op != VIRTIO_VSOCK_OP_RW && header.len != 0) return Outcome::kKilled;
  guest_alloc_ = header.buf_alloc;
  guest_forwarded_ = header.fwd_cnt;
  if (credit() > 0) credit_asked_ = false;
  if (answers) return open();
  switch (header.op) {
    case VIRTIO_VSOCK_OP_RW:
      return take_data(header.len, payload);
    case VIRTIO_VSOCK_OP_SHUTDOWN:
      return guest_shuts(header.flags);
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
      update_wanted_ = true;
      return Outcome::kStays;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
      return Outcome::kStays;
    default:
      return Outcome::kKilled;
  }
}

Outcome Connection::open() {
  if (auto told = stream_->accepted(ports_.host); !told) {
    log::debug("vsock: {}", told.error().text());
    return Outcome::kKilled;
  }
  state_ = State::kOpen;
  deadline_.reset();
  return watch();
}

Outcome Connection::take_data(std::uint32_t length, ChainReader& payload) {
  // More than its credit, or after the end that it has announced.
  if (length > kBufAlloc - tx_.size() || (guest_shut_ & kShutSend) != 0) return Outcome::kKilled;
  received_ += length;
  common_.metrics.tx_bytes_count += length;
  if (!host_reads_) {
    forwarded_ += length;
    return Outcome::kStays;
  }
  if (length == 0) return Outcome::kStays;
  std::size_t taken = 0;
  if (tx_.empty()) {
    // Straight from the guest's memory, for as long as the host takes it.
    ChainReader lent = payload;
    common_.buffers.clear();
    lent.lend(length, common_.buffers);
    const auto written = stream_->write(common_.buffers);
    if (!written) {
      ++common_.metrics.tx_write_fails;
      host_stopped_reading();
      return Outcome::kStays;
    }
    taken = written->value_or(0);
    forwarded_ += static_cast<std::uint32_t>(taken);
    if (taken == length) return Outcome::kStays;
    common_.buffers.clear();
    payload.lend(taken, common_.buffers);
  }
  static_cast<void>(tx_.push(payload, length - taken));
  return watch();
}

Outcome Connection::guest_shuts(std::uint32_t flags) {
  guest_shut_ |= flags & kShutBoth;
  if (guest_shut_ == kShutBoth) {
    if (tx_.empty()) return Outcome::kClosed;
    if (watch() != Outcome::kStays) return Outcome::kKilled;
    state_ = State::kDraining;
    deadline_ = Clock::now() + common_.times.drain;
    return Outcome::kDrains;
  }
  if ((flags & kShutSend) != 0 && tx_.empty()) stream_->shut_write();
  if ((flags & kShutReceive) != 0) {
    stream_->shut_read();
    readable_ = false;
  }
  return watch();
}

// The host's stream
// ------------------------------------------------------------------------------------------------

Outcome Connection::ready(Ready ready) {
  if (ready.hung_up) return hang_up();
  if (ready.writable && !tx_.empty()) {
    const Outcome outcome = flush();
    if (outcome != Outcome::kStays) return outcome;
  }
  if (!ready.readable) return Outcome::kStays;
  // Known already, and the guest had no room or credit since: no need to hear it again and again.
  if (readable_) return watch();
  readable_ = true;
  return Outcome::kStays;
}

Outcome Connection::hang_up() {
  stream_->unwatch();
  hung_up_ = true;
  if (state_ == State::kRequesting || draining()) return Outcome::kEnds;
  if (state_ == State::kRequested) return Outcome::kKilled;
  host_stopped_reading();
  // What it sent before is still to be read.
  if (guest_takes_data() && host_sends_) readable_ = true;
  if (!guest_takes_data()) host_sends_ = false;
  return Outcome::kStays;
}

void Connection::host_stopped_reading() {
  host_reads_ = false;
  tx_.clear();
  forwarded_ = received_;
}

Outcome Connection::flush() {
  const auto written = stream_->write(tx_.front());
  if (!written) {
    ++common_.metrics.tx_flush_fails;
    if (draining()) return Outcome::kEnds;
    host_stopped_reading();
    return watch();
  }
  if (!*written) return Outcome::kStays;
  forwarded_ += static_cast<std::uint32_t>(**written);
  tx_.pop(**written);
  if (draining()) {
    deadline_ = Clock::now() + common_.times.drain;
    return tx_.empty() ? Outcome::kEnds : Outcome::kStays;
  }
  if (!tx_.empty()) return Outcome::kStays;
  if ((guest_shut_ & kShutSend) != 0) stream_->shut_write();
  return watch();
}

Outcome Connection::expire() const {
  const bool known = state_ == State::kRequested || state_ == State::kOpen;
  return known ? Outcome::kKilled : Outcome::kEnds;
}

// Packets for the guest
// ------------------------------------------------------------------------------------------------

std::uint32_t Connection::credit() const {
  const std::uint32_t under_way = sent_ - guest_forwarded_;
  return under_way >= guest_alloc_ ? 0 : guest_alloc_ - under_way;
}

bool Connection::can_read() const { return readable_ && host_sends_ && guest_takes_data(); }

std::uint32_t Connection::shutdown_due() const {
  const std::uint32_t shut = (host_sends_ ? 0 : kShutSend) | (host_reads_ ? 0 : kShutReceive);
  return (shut & ~told_shut_) != 0 ? shut : 0;
}

bool Connection::credit_update_due() const {
  if (update_wanted_) return true;
  // As the guest sees it. Half is early enough for it never to wait.
  const std::uint32_t free = kBufAlloc - (received_ - told_forwarded_);
  return forwarded_ != told_forwarded_ && free < kBufAlloc / 2 && (guest_shut_ & kShutSend) == 0;
}

bool Connection::has_packet() const {
  switch (state_) {
    case State::kRequesting:
    case State::kResponding:
      return true;
    case State::kOpen:
      return shutdown_due() != 0 || (can_read() && credit() > 0) || credit_request_due() ||
             credit_update_due();
    case State::kRequested:
    case State::kDraining:
      break;
  }
  return false;
}

Connection::Filled Connection::say(Header& header, std::uint16_t op, std::uint32_t flags) {
  header = {.src_cid = kHostCid,
            .dst_cid = common_.guest_cid,
            .src_port = ports_.host,
            .dst_port = ports_.guest,
            .len = 0,
            .type = VIRTIO_VSOCK_TYPE_STREAM,
            .op = op,
            .flags = flags,
            .buf_alloc = kBufAlloc,
            .fwd_cnt = forwarded_};
  told_forwarded_ = forwarded_;
  update_wanted_ = false;
  return {.packet = true};
}

Connection::Filled Connection::fill(Header& header, ChainWriter& payload) {
  if (state_ == State::kRequesting) {
    state_ = State::kRequested;
    return say(header, VIRTIO_VSOCK_OP_REQUEST);
  }
  if (state_ == State::kResponding) {
    state_ = State::kOpen;
    Filled filled = say(header, VIRTIO_VSOCK_OP_RESPONSE);
    filled.outcome = watch();
    return filled;
  }
  if (state_ != State::kOpen) return {};
  if (shutdown_due() == 0 && can_read() && credit() > 0) {
    Outcome outcome = Outcome::kStays;
    const auto length = read(payload, outcome);
    if (!length) {
      ++common_.metrics.rx_read_fails;
      return {.outcome = Outcome::kKilled};
    }
    if (*length > 0) {
      Filled filled = say(header, VIRTIO_VSOCK_OP_RW);
      header.len = static_cast<std::uint32_t>(*length);
      filled.outcome = outcome;
      return filled;
    }
    if (outcome != Outcome::kStays) return {.outcome = outcome};
  }
  if (const std::uint32_t flags = shutdown_due(); flags != 0) {
    told_shut_ = flags;
    if (flags == kShutBoth) deadline_ = Clock::now() + common_.times.answer;
    return say(header, VIRTIO_VSOCK_OP_SHUTDOWN, flags);
  }
  if (credit_request_due()) {
    credit_asked_ = true;
    return say(header, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
  }
  return credit_update_due() ? say(header, VIRTIO_VSOCK_OP_CREDIT_UPDATE) : Filled{};
}

Result<std::size_t> Connection::read(ChainWriter& payload, Outcome& outcome) {
  common_.buffers.clear();
  const std::uint64_t room =
      payload.room(std::min<std::uint64_t>(credit(), kMaxPayload), common_.buffers);
  MOTE_TRY(const auto got, stream_->read(common_.buffers));
  const std::size_t length = got.value_or(0);
  payload.filled(length);
  sent_ += static_cast<std::uint32_t>(length);
  common_.metrics.rx_bytes_count += length;
  if (length == room) return length;
  if (length == 0 && (got || hung_up_)) host_sends_ = false;
  // Less than there was room for: it is empty now. After a hang-up only its end says so.
  readable_ = hung_up_ && host_sends_;
  outcome = watch();
  return length;
}

}  // namespace mote::virtio::vsock
