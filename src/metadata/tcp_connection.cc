#include "metadata/tcp_connection.h"

#include <algorithm>

namespace mote::metadata {
namespace {

constexpr unsigned kDuplicatesOfALoss = 3;  // RFC 5681, section 3.2
// Segments that are older than this are no answer to anything of ours (RFC 5961, section 5.2).
constexpr std::uint32_t kOldest = 65536;

// Sequence numbers go round: `a` is before `b` when less than half of them lies between.
bool before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }
bool not_after(std::uint32_t a, std::uint32_t b) { return !before(b, a); }

}  // namespace

TcpConnection::TcpConnection(const Peer& peer, const Segment& syn, std::uint32_t first, Time now)
    : peer_(peer),
      local_port_(syn.destination_port),
      mss_(std::clamp(syn.mss.value_or(kDefaultMss), kLeastMss, kMss)),
      send_una_(first),
      send_next_(first),
      send_most_(first),
      send_window_(syn.window),
      window_sequence_(syn.sequence),
      out_begin_(first + 1),
      receive_next_(syn.sequence + 1),
      last_heard_(now),
      last_progress_(now) {}

std::uint32_t TcpConnection::data_end() const {
  return out_begin_ + static_cast<std::uint32_t>(held());
}

Segment TcpConnection::segment() const {
  return {.source_port = local_port_,
          .destination_port = peer_.port,
          .sequence = send_next_,
          .acknowledgment = receive_next_,
          .ack = true,
          .window = window()};
}

// Receiving
// ------------------------------------------------------------------------------------------------

TcpConnection::Outcome TcpConnection::receive(const Peer& peer, const Segment& segment, Time now) {
  if (over_) return Outcome::kReset;
  const bool in_window =
      not_after(receive_next_, segment.sequence) &&
      (segment.sequence == receive_next_ || before(segment.sequence, receive_next_ + window()));
  if (segment.rst) {
    // One that is not exact may be a guess of somebody else, and is asked back (RFC 5961, 3.2).
    if (segment.sequence == receive_next_) {
      over_ = true;
    } else if (in_window) {
      acknowledge_ = open_;
    }
    return segment.sequence == receive_next_ ? Outcome::kGood : Outcome::kBad;
  }
  if (segment.syn) {
    // Of an open connection: RFC 5961, section 4.2. Else our answer was lost; or the peer has begun
    // anew, and resets the old beginning when it hears of it again.
    acknowledge_ = open_;
    if (!open_) send_next_ = send_una_;
    return segment.sequence + 1 == receive_next_ ? Outcome::kGood : Outcome::kBad;
  }
  if (!segment.ack) return Outcome::kBad;
  if (!open_) {
    if (const Outcome outcome = receive_half_open(segment); outcome != Outcome::kGood) {
      return outcome;
    }
    last_progress_ = now;
  }
  const bool fits = acceptable(segment);
  if (!fits) acknowledge_ = true;
  // What is not acceptable for its place may still acknowledge, as with a window of 0.
  const bool near = not_after(receive_next_ - kOldest, segment.sequence) &&
                    not_after(segment.sequence, receive_next_ + kReceiveBuffer);
  if (!near || !take_acknowledgment(segment, now)) return Outcome::kBad;
  last_heard_ = now;
  peer_ = peer;
  if (fits) take_data(segment);
  end_when_done();
  return fits ? Outcome::kGood : Outcome::kBad;
}

TcpConnection::Outcome TcpConnection::receive_half_open(const Segment& segment) {
  if (segment.acknowledgment != send_una_ + 1 || send_most_ == send_una_) return Outcome::kReset;
  if (!acceptable(segment)) {
    acknowledge_ = true;
    return Outcome::kBad;
  }
  open_ = true;
  window_sequence_ = segment.sequence;
  window_acknowledgment_ = segment.acknowledgment;
  send_window_ = segment.window;
  return Outcome::kGood;
}

// RFC 9293, section 3.10.7.4: some of it is in the window.
bool TcpConnection::acceptable(const Segment& segment) const {
  const std::uint32_t length = segment.length();
  const std::uint32_t edge = receive_next_ + window();
  if (length == 0) {
    return segment.sequence == receive_next_ ||
           (not_after(receive_next_, segment.sequence) && before(segment.sequence, edge));
  }
  return window() != 0 && before(segment.sequence, edge) &&
         before(receive_next_, segment.sequence + length);
}

// False: it acknowledges what was never sent.
bool TcpConnection::take_acknowledgment(const Segment& segment, Time now) {
  const std::uint32_t upto = segment.acknowledgment;
  if (before(send_most_, upto)) {
    acknowledge_ = true;
    return false;
  }
  if (before(upto, send_una_ - kOldest)) return false;
  if (before(send_una_, upto)) {
    send_una_ = upto;
    if (before(send_next_, upto)) send_next_ = upto;
    if (before(out_begin_, upto)) {
      const std::uint32_t data = std::min(upto - out_begin_, data_end() - out_begin_);
      out_begin_ += data;
      out_done_ += data;
    }
    if (held() == 0) {
      // Not only emptied: a large response leaves nothing behind.
      std::string().swap(out_);
      out_done_ = 0;
    }
    duplicates_ = timeouts_ = 0;
    probe_ = false;
    timeout_ = kFirstTimeout;
    last_progress_ = now;
    deadline_.reset();
    if (send_una_ != send_next_) start_timer(now);
  } else {
    count_duplicate(segment);
  }
  const bool newer =
      before(window_sequence_, segment.sequence) ||
      (window_sequence_ == segment.sequence && not_after(window_acknowledgment_, upto));
  if (newer && not_after(send_una_, upto)) {
    if (send_window_ == 0 && segment.window != 0) {
      // Also what was sent beyond the window to ask for it goes again.
      send_next_ = send_una_;
      probe_ = false;
      deadline_.reset();
    }
    send_window_ = segment.window;
    window_sequence_ = segment.sequence;
    window_acknowledgment_ = upto;
  }
  return true;
}

void TcpConnection::count_duplicate(const Segment& segment) {
  const bool duplicate = segment.acknowledgment == send_una_ && segment.length() == 0 &&
                         segment.window == send_window_ && send_una_ != send_next_;
  if (!duplicate) return;
  if (++duplicates_ == kDuplicatesOfALoss) send_next_ = send_una_;
}

// Of what is acceptable.
void TcpConnection::take_data(const Segment& segment) {
  if (segment.length() == 0) return;
  acknowledge_ = true;
  // A gap before it: it will come again, behind what fills the gap.
  if (before(receive_next_, segment.sequence) || peer_closed_) return;
  const std::uint32_t known = receive_next_ - segment.sequence;
  std::string_view fresh = segment.payload;
  fresh.remove_prefix(std::min<std::size_t>(known, fresh.size()));
  const bool all = fresh.size() <= window();
  fresh = fresh.substr(0, window());
  receive_next_ += static_cast<std::uint32_t>(fresh.size());
  // When no further request is to come, the rest is taken to nowhere.
  if (!closing_) in_ += fresh;
  if (segment.fin && all) {
    ++receive_next_;
    peer_closed_ = true;
  }
  seen_ = false;
}

void TcpConnection::answer(std::size_t taken, std::string_view response, bool close) {
  in_.erase(0, taken);
  if (out_done_ != 0) {
    out_.erase(0, out_done_);
    out_done_ = 0;
  }
  out_ += response;
  closing_ = closing_ || close;
  if (closing_) in_.clear();
  // The peer hears of a window that has opened by a good part (RFC 9293, section 3.8.6.2.2).
  if (receive_next_ + window() - told_edge_ >= kReceiveBuffer / 2) acknowledge_ = true;
  end_when_done();
}

// A peer that has closed sees our end, too; what it left unfinished is no request.
void TcpConnection::starved() {
  seen_ = true;
  if (!peer_closed_ || closing_) return;
  closing_ = true;
  in_.clear();
}

// After the last acknowledgment the connection is forgotten at once, also where RFC 9293 would have
// us wait (TIME-WAIT): no old segment wanders about between the guest and here.
void TcpConnection::end_when_done() {
  if (closing_ && peer_closed_ && send_una_ == end() && !acknowledge_) over_ = true;
}

// Sending
// ------------------------------------------------------------------------------------------------

bool TcpConnection::ready() const {
  if (over_) return false;
  if (!open_) return send_next_ == send_una_;
  if (acknowledge_ || probe_) return true;
  if (send_next_ == end()) return false;
  const bool only_fin = send_next_ == data_end();
  // Without a timer it is to be started, as the window is closed.
  return only_fin || !deadline_ || before(send_next_, send_una_ + send_window_);
}

std::optional<Segment> TcpConnection::next(Time now) {
  if (over_) return std::nullopt;
  if (!open_) {
    if (send_next_ != send_una_) return std::nullopt;
    Segment answer = segment();
    answer.syn = true;
    answer.mss = kMss;
    return sent(answer, now);
  }
  if (auto data = next_data(now)) return data;
  if (!acknowledge_) return std::nullopt;
  Segment bare = sent(segment(), now);
  end_when_done();
  return bare;
}

// The next part of the responses, or our FIN, or both.
std::optional<Segment> TcpConnection::next_data(Time now) {
  if (send_next_ == end()) return std::nullopt;
  const std::uint32_t used = send_next_ - send_una_;
  std::uint32_t room = used < send_window_ ? send_window_ - used : 0;
  if (probe_) room = std::max(room, 1U);
  const std::uint32_t left = data_end() - send_next_;
  const std::uint32_t length = std::min({left, room, std::uint32_t{mss_}});
  if (length == 0 && left != 0) {
    // Nothing else would bring the news that the window is open again.
    if (send_una_ == send_next_ && !deadline_) start_timer(now);
    return std::nullopt;
  }
  Segment data = segment();
  const std::size_t at = out_done_ + (send_next_ - out_begin_);
  data.payload = std::string_view(out_).substr(left == 0 ? out_.size() : at, length);
  data.psh = length == left && length != 0;
  data.fin = closing_ && length == left;
  probe_ = false;
  return sent(data, now);
}

Segment TcpConnection::sent(Segment segment, Time now) {
  send_next_ += segment.length();
  if (before(send_most_, send_next_)) send_most_ = send_next_;
  acknowledge_ = false;
  told_edge_ = receive_next_ + window();
  if (segment.length() != 0) {
    if (send_una_ == segment.sequence && timeouts_ == 0)
      last_progress_ = std::max(last_progress_, now);
    if (!deadline_) start_timer(now);
  }
  return segment;
}

void TcpConnection::start_timer(Time now) { deadline_ = now + timeout_; }

void TcpConnection::tick(Time now) {
  if (over_ || !deadline_ || now < *deadline_) return;
  deadline_.reset();
  if (send_una_ == end()) return;
  if (++timeouts_ > kMostTimeouts || now - last_progress_ > kPatience) return abort();
  timeout_ *= 2;
  send_next_ = send_una_;
  duplicates_ = 0;
  probe_ = open_ && send_window_ == 0;
}

void TcpConnection::abort() {
  over_ = aborted_ = true;
  std::string().swap(out_);
  out_done_ = 0;
}

std::optional<Segment> TcpConnection::farewell() const {
  if (!aborted_) return std::nullopt;
  Segment reset = segment();
  reset.sequence = send_most_;
  reset.rst = true;
  return reset;
}

}  // namespace mote::metadata
