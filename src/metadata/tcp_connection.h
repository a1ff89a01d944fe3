// TcpConnection is one connection of the guest to the metadata service: the server's half of TCP
// (RFC 9293), and no more of it than that needs. The guest opens it, asks, and is answered; nothing
// is lost on the way but what the guest itself drops, so what comes out of order is not kept but
// sent again, and there is no control of congestion beside the guest's window. Memory: what came in
// of a request, at most kReceiveBuffer; and responses that are not acknowledged, of which another
// is made only while there is little of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "metadata/http.h"
#include "metadata/packet.h"

namespace mote::metadata {

using Time = std::chrono::steady_clock::time_point;

// The guest's end of a connection.
struct Peer {
  unsigned lane = 0;  // of the link: where its packets came in
  MacAddress mac{};
  Ipv4 address = 0;
  std::uint16_t port = 0;
};

class TcpConnection {
 public:
  static constexpr std::size_t kReceiveBuffer = kMostRequest;
  // What fits into a frame of Ethernet's usual 1500 bytes.
  static constexpr std::uint16_t kMss = 1460;
  // What a peer that says nothing of it takes (RFC 9293, section 3.7.1), and the least that is
  // believed.
  static constexpr std::uint16_t kDefaultMss = 536;
  static constexpr std::uint16_t kLeastMss = 48;
  // How long a segment waits for its acknowledgment, at first; twice as long each further time.
  static constexpr std::chrono::milliseconds kFirstTimeout{200};
  static constexpr unsigned kMostTimeouts = 8;
  // A peer that acknowledges nothing of what it was sent for so long is given up, whatever else it
  // says.
  static constexpr std::chrono::seconds kPatience{40};

  // A connection that `syn` asks for; `first` is the sequence number that we begin with.
  TcpConnection(const Peer& peer, const Segment& syn, std::uint32_t first, Time now);

  // What a segment does to the connection.
  enum class Outcome {
    kGood,
    kBad,    // it is not acceptable, and was answered as RFC 9293, section 3.10.7, has it
    kReset,  // it belongs to no connection that we know: it is to be answered with a reset
  };
  Outcome receive(const Peer& peer, const Segment& segment, Time now);

  // The next segment to send; empty: none now. Its payload lives until the next call of anything
  // here.
  std::optional<Segment> next(Time now);
  // Whether next() has something.
  bool ready() const;

  // When tick() is due.
  std::optional<Time> deadline() const { return deadline_; }
  void tick(Time now);

  // Requests for the service: what has come in, of which taken() says how much is dealt with and
  // what the response is.
  std::string_view received() const { return in_; }
  // Whether the service may look at received(): not when it has seen that already, when no further
  // request is to come, or while much of what was answered is on its way.
  bool may_ask() const { return !seen_ && !closing_ && !over_ && held() < kMostHeld; }
  void answer(std::size_t taken, std::string_view response, bool close);
  // The service finds no whole request in received().
  void starved();

  // Over: nothing is to be sent or received any more. A peer that did not agree gets a reset: see
  // farewell().
  bool over() const { return over_; }
  // The reset that tells the peer of an end from our side, if it needs to be told.
  std::optional<Segment> farewell() const;
  // Gives the connection up.
  void abort();

  const Peer& peer() const { return peer_; }
  bool half_open() const { return !open_; }
  Time last_heard() const { return last_heard_; }
  // Bytes of responses that are kept.
  std::size_t held() const { return out_.size() - out_done_; }

 private:
  static constexpr std::size_t kMostHeld = std::size_t{16} << 10;

  std::uint16_t window() const { return static_cast<std::uint16_t>(kReceiveBuffer - in_.size()); }
  std::uint32_t data_end() const;
  std::uint32_t end() const { return data_end() + (closing_ ? 1 : 0); }
  Segment segment() const;
  Outcome receive_half_open(const Segment& segment);
  bool acceptable(const Segment& segment) const;
  bool take_acknowledgment(const Segment& segment, Time now);
  void count_duplicate(const Segment& segment);
  void take_data(const Segment& segment);
  std::optional<Segment> next_data(Time now);
  Segment sent(Segment segment, Time now);
  void start_timer(Time now);
  void end_when_done();

  Peer peer_;
  std::uint16_t local_port_;
  std::uint16_t mss_;
  bool open_ = false;         // the handshake is complete
  bool peer_closed_ = false;  // its FIN has come
  bool closing_ = false;      // a FIN follows what there is to send
  bool over_ = false;
  bool aborted_ = false;

  // What goes out. The names are RFC 9293's (section 3.3.1): first unacknowledged, next to be sent.
  std::uint32_t send_una_;
  std::uint32_t send_next_;
  std::uint32_t send_most_;  // beyond all that was ever sent
  std::uint32_t send_window_ = 0;
  std::uint32_t window_sequence_ = 0;  // of the segment that said send_window_
  std::uint32_t window_acknowledgment_ = 0;
  std::string out_;  // responses; the first out_done_ bytes are acknowledged
  std::size_t out_done_ = 0;
  std::uint32_t out_begin_;  // the sequence number of out_[out_done_]
  unsigned duplicates_ = 0;
  bool probe_ = false;  // a byte beyond the peer's window is due, to hear of its window

  // What comes in.
  std::uint32_t receive_next_;
  std::uint32_t told_edge_ = 0;  // the end of the window that the peer was told
  std::string in_;
  bool seen_ = true;          // the service can do nothing with it
  bool acknowledge_ = false;  // due

  std::optional<Time> deadline_;
  std::chrono::milliseconds timeout_ = kFirstTimeout;
  unsigned timeouts_ = 0;
  Time last_heard_;
  Time last_progress_;  // something was acknowledged, or nothing was to be
};

}  // namespace mote::metadata
