// The packets that the metadata service speaks: Ethernet II with ARP (RFC 826), IPv4 (RFC 791) and
// TCP (RFC 9293) in it, checked whole when they are read. Numbers are the host's outside of this
// file, the network's inside of packets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "metadata/config.h"
#include "network/mac_address.h"

namespace mote::metadata {

using network::MacAddress;
using Bytes = std::span<const std::byte>;

inline constexpr std::size_t kEthernetHeader = 14;
inline constexpr std::size_t kArpPacket = 28;
inline constexpr std::size_t kIpv4Header = 20;  // without options, as we send it
inline constexpr std::size_t kTcpHeader = 20;   // likewise

struct Ethernet {
  MacAddress destination{};
  MacAddress source{};
  std::uint16_t type = 0;  // ETH_P_*
  Bytes payload{};
};
// Empty: the frame is too short.
std::optional<Ethernet> read_ethernet(Bytes frame);

struct Arp {
  std::uint16_t operation = 0;  // ARPOP_*
  MacAddress sender{};
  Ipv4 sender_address = 0;
  Ipv4 target_address = 0;
};
// Empty: not ARP for IPv4 over Ethernet.
std::optional<Arp> read_arp(Bytes packet);

struct Ipv4Packet {
  Ipv4 source = 0;
  Ipv4 destination = 0;
  std::uint8_t protocol = 0;  // IPPROTO_*
  bool fragment = false;
  Bytes payload{};
};
// Empty: lengths that do not fit, or a wrong checksum.
std::optional<Ipv4Packet> read_ipv4(Bytes packet);
// The destination of an IPv4 packet, of which no more is looked at; empty: it is too short.
std::optional<Ipv4> ipv4_destination(Bytes packet);

struct Segment {
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;  // of meaning with `ack`
  bool syn = false;
  bool ack = false;
  bool fin = false;
  bool rst = false;
  bool psh = false;
  std::uint16_t window = 0;
  std::optional<std::uint16_t> mss{};
  std::string_view payload{};

  // How far it goes in the sequence: SYN and FIN count as a byte each.
  std::uint32_t length() const {
    return static_cast<std::uint32_t>(payload.size()) + (syn ? 1 : 0) + (fin ? 1 : 0);
  }
};
// Reads the TCP segment of `packet`. Empty: lengths that do not fit, or a wrong checksum, which is
// looked at only with `verify`.
std::optional<Segment> read_tcp(const Ipv4Packet& packet, bool verify);

// Who talks to whom, in a frame of ours.
struct Route {
  MacAddress from{};
  MacAddress to{};
  Ipv4 from_address = 0;
  Ipv4 to_address = 0;
};
// The most bytes that write_tcp() makes beside the payload: with the one option, MSS.
inline constexpr std::size_t kMostHeaders = kEthernetHeader + kIpv4Header + kTcpHeader + 4;
// Writes a frame into `frame`, which has room for it: kMostHeaders and the payload. The bytes
// written.
std::size_t write_tcp(const Route& route, const Segment& segment, std::span<std::byte> frame);
// Writes an ARP reply that says where route.from_address is; `frame` has room for kEthernetHeader +
// kArpPacket bytes. The bytes written.
std::size_t write_arp_reply(const Route& route, std::span<std::byte> frame);

}  // namespace mote::metadata
