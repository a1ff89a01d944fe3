// TcpEndpoint is the metadata service's port 80: the connections that the guest has opened to it at
// one interface, as many as there is room for, and resets for all else.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "metadata/metrics.h"
#include "metadata/service.h"
#include "metadata/tcp_connection.h"

namespace mote::metadata {

inline constexpr std::uint16_t kHttpPort = 80;

class TcpEndpoint {
 public:
  static constexpr std::size_t kMostConnections = 30;
  static constexpr std::size_t kMostResets = 100;
  // A connection that has not been heard of for so long makes room for another.
  static constexpr std::chrono::seconds kIdle{40};
  // While responses of so many bytes are on their way, no further one is made.
  static constexpr std::size_t kMostHeld = std::size_t{256} << 10;

  // `first` gives the sequence numbers that connections begin with. Service outlives the endpoint.
  TcpEndpoint(Service& service, std::function<std::uint32_t()> first);
  ~TcpEndpoint();

  // A segment from the guest.
  void receive(const Peer& peer, const Segment& segment, Time now);

  struct Outgoing {
    Peer to;
    Segment segment;
  };
  // The next segment for the guest at `lane`; empty: none now. Its payload lives until the next
  // call of anything here.
  std::optional<Outgoing> next(unsigned lane, Time now);
  // Whether next() may have something.
  bool ready(unsigned lane) const;

  // When tick() is due; empty: not before anything else happens.
  std::optional<Time> deadline() const;
  void tick(Time now);

  std::size_t connections() const { return connections_.size(); }

 private:
  using Connection = std::unique_ptr<TcpConnection>;

  void open(const Peer& peer, const Segment& syn, Time now);
  bool make_room(Time now);
  void reset(const Peer& peer, const Segment& segment);
  void push_reset(const Peer& peer, const Segment& reset);
  void serve(TcpConnection& connection);
  void serve_all();
  void bury();

  Service& service_;
  MmdsMetrics& metrics_;
  std::function<std::uint32_t()> first_;
  std::vector<Connection> connections_;  // the one that was served last is behind
  std::size_t turn_ = 0;                 // the connection that may send next
  std::deque<Outgoing> resets_;
};

}  // namespace mote::metadata
