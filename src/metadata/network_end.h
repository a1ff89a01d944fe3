// NetworkEnd is the metadata service's place on the network of one interface: it takes the frames
// that the guest sends to the service's address and makes those that answer, without a network.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>

#include "metadata/packet.h"
#include "metadata/service.h"
#include "metadata/tcp_endpoint.h"

namespace mote::metadata {

class NetworkEnd {
 public:
  // The frames that it makes have at most so many bytes.
  static constexpr std::size_t kMostFrame = kMostHeaders + TcpConnection::kMss;
  // As much of a frame as tells whose it is.
  static constexpr std::size_t kTelling = kEthernetHeader + kArpPacket;
  // ARP replies that wait for room.
  static constexpr std::size_t kMostReplies = 8;

  // `first`: see TcpEndpoint. The service outlives this.
  NetworkEnd(Service& service, std::function<std::uint32_t()> first);

  // Whether a frame that begins with `start` (kTelling bytes, or the whole frame where it is
  // shorter) is for the service: ARP and IPv4 for its address, in plain Ethernet II.
  bool is_ours(Bytes start);
  // Takes a frame for which is_ours(). `unfinished`: its TCP checksum is left to whoever sends it
  // on. What makes no sense is counted and dropped.
  void take(unsigned lane, Bytes frame, bool unfinished, Time now);
  // Puts the next frame for the guest at `lane` into `frame` (kMostFrame bytes or more); its
  // length, 0: none now.
  std::size_t give(unsigned lane, std::span<std::byte> frame, Time now);
  // Whether give() may have something.
  bool ready(unsigned lane) const;

  // As those of TcpEndpoint.
  std::optional<Time> deadline() const { return tcp_.deadline(); }
  void tick(Time now) { tcp_.tick(now); }
  std::size_t connections() const { return tcp_.connections(); }

 private:
  struct Reply {
    unsigned lane = 0;
    MacAddress mac{};
    Ipv4 address = 0;
  };

  void take_arp(unsigned lane, Bytes packet);
  void take_ipv4(unsigned lane, const Ethernet& frame, bool unfinished, Time now);
  Route route_to(const MacAddress& mac, Ipv4 address) const;

  MmdsMetrics& metrics_;
  Ipv4 address_;
  TcpEndpoint tcp_;
  std::deque<Reply> replies_;
};

}  // namespace mote::metadata
