#include "metadata/packet.h"

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>

namespace mote::metadata {
namespace {

// Reading
// ------------------------------------------------------------------------------------------------

// The caller has seen that these bytes are there.
std::uint8_t get8(Bytes from, std::size_t at) { return static_cast<std::uint8_t>(from[at]); }
std::uint16_t get16(Bytes from, std::size_t at) {
  return static_cast<std::uint16_t>(get8(from, at) << 8 | get8(from, at + 1));
}
std::uint32_t get32(Bytes from, std::size_t at) {
  return std::uint32_t{get16(from, at)} << 16 | get16(from, at + 2);
}
MacAddress get_mac(Bytes from, std::size_t at) {
  MacAddress address;
  std::memcpy(address.bytes.data(), from.data() + at, address.bytes.size());
  return address;
}

// Writes one field behind another.
class Put {
 public:
  explicit Put(std::span<std::byte> into) : into_(into) {}

  Put& u8(unsigned value) {
    into_[at_++] = static_cast<std::byte>(value);
    return *this;
  }
  Put& u16(unsigned value) { return u8(value >> 8 & 0xff).u8(value & 0xff); }
  Put& u32(std::uint32_t value) { return u16(value >> 16).u16(value & 0xffff); }
  Put& mac(const MacAddress& address) {
    for (const std::uint8_t byte : address.bytes) u8(byte);
    return *this;
  }
  Put& text(std::string_view text) {
    std::ranges::copy(std::as_bytes(std::span(text)),
                      into_.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ += text.size();
    return *this;
  }
  std::size_t size() const { return at_; }

 private:
  std::span<std::byte> into_;
  std::size_t at_ = 0;
};

// Checksums
// ------------------------------------------------------------------------------------------------

// The sum of RFC 1071, section 1, over `bytes` and what was summed before.
std::uint64_t add_up(Bytes bytes, std::uint64_t sum = 0) {
  std::size_t at = 0;
  for (; at + 1 < bytes.size(); at += 2) sum += get16(bytes, at);
  if (at < bytes.size()) sum += std::uint64_t{get8(bytes, at)} << 8;
  return sum;
}

std::uint16_t fold(std::uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

// Of the pseudo-header (RFC 9293, section 3.1).
std::uint64_t pseudo_header(Ipv4 source, Ipv4 destination, std::size_t length) {
  return std::uint64_t{source >> 16} + (source & 0xffff) + (destination >> 16) +
         (destination & 0xffff) + IPPROTO_TCP + length;
}

constexpr std::uint8_t kVersion4 = 4;
constexpr std::uint8_t kTimeToLive = 1;  // it crosses no router
constexpr std::uint16_t kDontFragment = 0x4000;
constexpr std::uint16_t kFragment = 0x3fff;  // more follow, or others went before
constexpr std::size_t kIpv4ChecksumAt = 10;
constexpr std::size_t kTcpChecksumAt = 16;

// The MSS that the options say (RFC 9293, section 3.2); the first counts.
std::optional<std::uint16_t> find_mss(Bytes options) {
  while (!options.empty()) {
    const std::uint8_t kind = get8(options, 0);
    if (kind == TCPOPT_EOL) break;
    if (kind == TCPOPT_NOP) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2) break;
    const std::uint8_t length = get8(options, 1);
    if (length < 2 || length > options.size()) break;
    if (kind == TCPOPT_MAXSEG && length == TCPOLEN_MAXSEG) return get16(options, 2);
    options = options.subspan(length);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Ethernet> read_ethernet(Bytes frame) {
  if (frame.size() < kEthernetHeader) return std::nullopt;
  return Ethernet{.destination = get_mac(frame, 0),
                  .source = get_mac(frame, ETH_ALEN),
                  .type = get16(frame, 2 * ETH_ALEN),
                  .payload = frame.subspan(kEthernetHeader)};
}

std::optional<Arp> read_arp(Bytes packet) {
  if (packet.size() < kArpPacket) return std::nullopt;
  if (get16(packet, 0) != ARPHRD_ETHER || get16(packet, 2) != ETH_P_IP ||
      get8(packet, 4) != ETH_ALEN || get8(packet, 5) != sizeof(Ipv4)) {
    return std::nullopt;
  }
  return Arp{.operation = get16(packet, 6),
             .sender = get_mac(packet, 8),
             .sender_address = get32(packet, 14),
             .target_address = get32(packet, 24)};
}

std::optional<Ipv4> ipv4_destination(Bytes packet) {
  constexpr std::size_t kDestinationAt = 16;
  if (packet.size() < kIpv4Header) return std::nullopt;
  return get32(packet, kDestinationAt);
}

std::optional<Ipv4Packet> read_ipv4(Bytes packet) {
  if (packet.size() < kIpv4Header || get8(packet, 0) >> 4 != kVersion4) return std::nullopt;
  const std::size_t header = (get8(packet, 0) & 0xfU) * 4;
  const std::size_t total = get16(packet, 2);
  // Ethernet fills short frames up, so there may be more.
  if (header < kIpv4Header || total < header || total > packet.size()) return std::nullopt;
  if (fold(add_up(packet.first(header))) != 0) return std::nullopt;
  return Ipv4Packet{.source = get32(packet, 12),
                    .destination = get32(packet, 16),
                    .protocol = get8(packet, 9),
                    .fragment = (get16(packet, 6) & kFragment) != 0,
                    .payload = packet.first(total).subspan(header)};
}

std::optional<Segment> read_tcp(const Ipv4Packet& packet, bool verify) {
  const Bytes bytes = packet.payload;
  if (bytes.size() < kTcpHeader) return std::nullopt;
  const std::size_t header = (get8(bytes, 12) >> 4) * std::size_t{4};
  if (header < kTcpHeader || header > bytes.size()) return std::nullopt;
  if (verify &&
      fold(add_up(bytes, pseudo_header(packet.source, packet.destination, bytes.size()))) != 0) {
    return std::nullopt;
  }
  const std::uint8_t flags = get8(bytes, 13);
  const Bytes payload = bytes.subspan(header);
  return Segment{.source_port = get16(bytes, 0),
                 .destination_port = get16(bytes, 2),
                 .sequence = get32(bytes, 4),
                 .acknowledgment = get32(bytes, 8),
                 .syn = (flags & TH_SYN) != 0,
                 .ack = (flags & TH_ACK) != 0,
                 .fin = (flags & TH_FIN) != 0,
                 .rst = (flags & TH_RST) != 0,
                 .psh = (flags & TH_PUSH) != 0,
                 .window = get16(bytes, 14),
                 .mss = find_mss(bytes.subspan(kTcpHeader, header - kTcpHeader)),
                 .payload = {reinterpret_cast<const char*>(payload.data()), payload.size()}};
}

std::size_t write_tcp(const Route& route, const Segment& segment, std::span<std::byte> frame) {
  const std::size_t options = segment.mss ? TCPOLEN_MAXSEG : 0;
  const std::size_t header = kTcpHeader + options;
  const std::size_t length = header + segment.payload.size();
  Put ethernet(frame);
  ethernet.mac(route.to).mac(route.from).u16(ETH_P_IP);

  const std::span<std::byte> ip = frame.subspan(kEthernetHeader);
  Put(ip)
      .u8(kVersion4 << 4 | kIpv4Header / 4)
      .u8(0)
      .u16(static_cast<unsigned>(kIpv4Header + length))
      .u16(0)
      .u16(kDontFragment)
      .u8(kTimeToLive)
      .u8(IPPROTO_TCP)
      .u16(0)
      .u32(route.from_address)
      .u32(route.to_address);
  Put(ip.subspan(kIpv4ChecksumAt)).u16(fold(add_up(ip.first(kIpv4Header))));

  const std::span<std::byte> tcp = ip.subspan(kIpv4Header);
  Put put(tcp);
  put.u16(segment.source_port)
      .u16(segment.destination_port)
      .u32(segment.sequence)
      .u32(segment.ack ? segment.acknowledgment : 0)
      .u8(static_cast<unsigned>(header / 4) << 4)
      .u8((segment.syn ? TH_SYN : 0U) | (segment.ack ? TH_ACK : 0U) | (segment.fin ? TH_FIN : 0U) |
          (segment.rst ? TH_RST : 0U) | (segment.psh ? TH_PUSH : 0U))
      .u16(segment.window)
      .u16(0)
      .u16(0);
  if (segment.mss) put.u8(TCPOPT_MAXSEG).u8(TCPOLEN_MAXSEG).u16(*segment.mss);
  put.text(segment.payload);
  const std::uint64_t pseudo = pseudo_header(route.from_address, route.to_address, length);
  Put(tcp.subspan(kTcpChecksumAt)).u16(fold(add_up(tcp.first(length), pseudo)));
  return kEthernetHeader + kIpv4Header + length;
}

std::size_t write_arp_reply(const Route& route, std::span<std::byte> frame) {
  Put put(frame);
  put.mac(route.to).mac(route.from).u16(ETH_P_ARP);
  put.u16(ARPHRD_ETHER).u16(ETH_P_IP).u8(ETH_ALEN).u8(sizeof(Ipv4)).u16(ARPOP_REPLY);
  put.mac(route.from).u32(route.from_address).mac(route.to).u32(route.to_address);
  return put.size();
}

}  // namespace mote::metadata
