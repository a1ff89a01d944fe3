#include "metadata/tcp_peer.h"

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include <cstring>

namespace mote::metadata::test {
namespace {

template <typename T>
std::string_view text_of(const T& object) {
  return {reinterpret_cast<const char*>(&object), sizeof object};
}

Frame frame_of(std::uint16_t type, std::string_view payload) {
  ethhdr header{};
  std::memcpy(header.h_dest, kServiceMac.bytes.data(), ETH_ALEN);
  std::memcpy(header.h_source, kGuestMac.bytes.data(), ETH_ALEN);
  header.h_proto = htons(type);
  std::string bytes(text_of(header));
  bytes += payload;
  Frame frame(bytes.size());
  std::memcpy(frame.data(), bytes.data(), bytes.size());
  return frame;
}

std::uint32_t pseudo_sum(Ipv4 one, Ipv4 other, std::size_t length) {
  return (one >> 16) + (one & 0xffff) + (other >> 16) + (other & 0xffff) + IPPROTO_TCP +
         static_cast<std::uint32_t>(length);
}

bool before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

}  // namespace

std::uint16_t internet_checksum(std::string_view bytes, std::uint32_t sum) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    sum += i % 2 == 0 ? static_cast<std::uint32_t>(byte) << 8 : byte;
  }
  while (sum > 0xffff) sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<std::uint16_t>(~sum & 0xffff);
}

Frame ipv4_frame(std::uint8_t protocol, std::string_view payload, Ipv4 source) {
  iphdr header{};
  header.version = 4;
  header.ihl = 5;
  header.tot_len = htons(static_cast<std::uint16_t>(sizeof header + payload.size()));
  header.ttl = 64;
  header.protocol = protocol;
  header.saddr = htonl(source);
  header.daddr = htonl(kServiceAddress);
  header.check = htons(internet_checksum(text_of(header)));
  return frame_of(ETH_P_IP, std::string(text_of(header)) + std::string(payload));
}

Frame tcp_frame(const TestSegment& segment, bool finished) {
  tcphdr header{};
  header.source = htons(segment.source_port);
  header.dest = htons(segment.destination_port);
  header.seq = htonl(segment.sequence);
  header.ack_seq = htonl(segment.acknowledgment);
  header.doff = static_cast<std::uint16_t>(5 + segment.options.size() / 4);
  header.syn = segment.has('S');
  header.ack = segment.has('A');
  header.fin = segment.has('F');
  header.rst = segment.has('R');
  header.psh = segment.has('P');
  header.window = htons(segment.window);
  std::string bytes(text_of(header));
  bytes += segment.options + segment.payload;
  if (finished) {
    header.check =
        htons(internet_checksum(bytes, pseudo_sum(kGuestAddress, kServiceAddress, bytes.size())));
    bytes.replace(0, sizeof header, text_of(header));
  }
  return ipv4_frame(IPPROTO_TCP, bytes);
}

Frame arp_frame(std::uint16_t operation, Ipv4 target) {
  struct [[gnu::packed]] {
    arphdr header;
    std::uint8_t sender[ETH_ALEN];
    std::uint32_t sender_address;
    std::uint8_t target[ETH_ALEN];
    std::uint32_t target_address;
  } packet{};
  packet.header = {.ar_hrd = htons(ARPHRD_ETHER),
                   .ar_pro = htons(ETH_P_IP),
                   .ar_hln = ETH_ALEN,
                   .ar_pln = 4,
                   .ar_op = htons(operation)};
  std::memcpy(packet.sender, kGuestMac.bytes.data(), ETH_ALEN);
  packet.sender_address = htonl(kGuestAddress);
  packet.target_address = htonl(target);
  return frame_of(ETH_P_ARP, text_of(packet));
}

TestSegment read_frame(const Frame& frame) {
  TestSegment segment;
  ethhdr ethernet{};
  iphdr ip{};
  tcphdr tcp{};
  if (frame.size() < sizeof ethernet + sizeof ip + sizeof tcp) {
    ADD_FAILURE() << "a frame of " << frame.size() << " bytes";
    return segment;
  }
  const std::string bytes(reinterpret_cast<const char*>(frame.data()), frame.size());
  std::memcpy(&ethernet, bytes.data(), sizeof ethernet);
  std::memcpy(&ip, bytes.data() + sizeof ethernet, sizeof ip);
  std::memcpy(&tcp, bytes.data() + sizeof ethernet + sizeof ip, sizeof tcp);
  EXPECT_EQ(std::memcmp(ethernet.h_dest, kGuestMac.bytes.data(), ETH_ALEN), 0);
  EXPECT_EQ(std::memcmp(ethernet.h_source, kServiceMac.bytes.data(), ETH_ALEN), 0);
  EXPECT_EQ(ntohs(ethernet.h_proto), ETH_P_IP);
  EXPECT_EQ(ip.version, 4);
  EXPECT_EQ(ip.ihl, 5);
  EXPECT_EQ(ip.ttl, 1);
  EXPECT_EQ(ip.protocol, IPPROTO_TCP);
  EXPECT_EQ(ntohl(ip.saddr), kServiceAddress);
  EXPECT_EQ(ntohl(ip.daddr), kGuestAddress);
  EXPECT_EQ(ntohs(ip.tot_len), frame.size() - sizeof ethernet);
  EXPECT_EQ(internet_checksum(bytes.substr(sizeof ethernet, sizeof ip)), 0);
  const std::string packet = bytes.substr(sizeof ethernet + sizeof ip);
  EXPECT_EQ(internet_checksum(packet, pseudo_sum(kServiceAddress, kGuestAddress, packet.size())),
            0);
  segment.source_port = ntohs(tcp.source);
  segment.destination_port = ntohs(tcp.dest);
  segment.sequence = ntohl(tcp.seq);
  segment.acknowledgment = ntohl(tcp.ack_seq);
  segment.window = ntohs(tcp.window);
  if (tcp.syn) segment.flags += 'S';
  if (tcp.ack) segment.flags += 'A';
  if (tcp.fin) segment.flags += 'F';
  if (tcp.rst) segment.flags += 'R';
  if (tcp.psh) segment.flags += 'P';
  const std::size_t header = std::size_t{tcp.doff} * 4;
  segment.options = packet.substr(sizeof tcp, header - sizeof tcp);
  segment.payload = packet.substr(header);
  return segment;
}

Frame Wire::receive(unsigned lane) {
  Frame frame(NetworkEnd::kMostFrame);
  frame.resize(end_.give(lane, frame, now_));
  return frame;
}

std::vector<Frame> Wire::receive_all(unsigned lane) {
  std::vector<Frame> frames;
  while (true) {
    Frame frame = receive(lane);
    if (frame.empty()) break;
    frames.push_back(std::move(frame));
  }
  EXPECT_FALSE(end_.ready(lane));
  return frames;
}

void Wire::pass(std::chrono::milliseconds time) {
  const Time until = now_ + time;
  while (now_ < until) {
    now_ = std::min(until, now_ + std::chrono::milliseconds(10));
    if (end_.deadline() && *end_.deadline() <= now_) end_.tick(now_);
  }
}

// The client
// ------------------------------------------------------------------------------------------------

void TcpPeer::transmit(TestSegment segment) {
  segment.source_port = port_;
  segment.window = window;
  if (segment.has('A')) segment.acknowledgment = expected_;
  if (to_service(segment)) wire_.send(tcp_frame(segment, finished), !finished);
}

void TcpPeer::connect() {
  syn_pending_ = true;
  std::string options("\x02\x04\0\0", 4);
  options[2] = static_cast<char>(mss >> 8);
  options[3] = static_cast<char>(mss & 0xff);
  transmit({.sequence = next_, .flags = "S", .options = options});
  poll();
}

void TcpPeer::send(std::string_view data) {
  unacknowledged_ += data;
  const std::uint32_t at = next_;
  next_ += static_cast<std::uint32_t>(data.size());
  transmit({.sequence = at, .flags = "AP", .payload = std::string(data)});
  poll();
}

void TcpPeer::close() {
  fin_sent_ = true;
  unacknowledged_ += queued_;
  const std::uint32_t at = next_;
  next_ += static_cast<std::uint32_t>(queued_.size()) + 1;
  transmit({.sequence = at, .flags = "AF", .payload = std::exchange(queued_, {})});
  poll();
}

void TcpPeer::reset() {
  transmit({.sequence = next_, .flags = "R"});
  poll();
}

void TcpPeer::resend() {
  if (syn_pending_) return connect();
  if (all_acknowledged()) return;
  std::string flags = "AP";
  if (fin_sent_) flags += 'F';
  transmit({.sequence = una_, .flags = flags, .payload = unacknowledged_});
}

void TcpPeer::poll() {
  for (bool some = true; some;) {
    some = false;
    for (const Frame& frame : wire_.receive_all()) {
      some = true;
      const TestSegment segment = read_frame(frame);
      TcpPeer* whose = this;
      for (TcpPeer* other : others_) {
        if (other->port() == segment.destination_port) whose = other;
      }
      if (segment.destination_port == whose->port() && whose->to_guest(segment)) {
        whose->take(segment);
      }
    }
  }
}

void TcpPeer::take(const TestSegment& segment) {
  ++segments_;
  if (segment.has('R')) {
    reset_ = true;
    return;
  }
  service_window_ = segment.window;
  if (segment.has('S')) {
    if (!syn_pending_) return acknowledge();
    EXPECT_EQ(segment.flags, "SA");
    EXPECT_EQ(segment.acknowledgment, next_ + 1);
    EXPECT_EQ(segment.options, std::string("\x02\x04\x05\xb4", 4));
    syn_pending_ = false;
    connected_ = true;
    una_ = ++next_;
    expected_ = segment.sequence + 1;
    if (answers) acknowledge();
    return;
  }
  if (!connected_) return;
  EXPECT_FALSE(before(next_, segment.acknowledgment)) << "of what was never sent";
  if (before(una_, segment.acknowledgment)) {
    unacknowledged_.erase(
        0, std::min<std::size_t>(segment.acknowledgment - una_, unacknowledged_.size()));
    una_ = segment.acknowledgment;
  }
  EXPECT_LE(segment.payload.size(), mss);
  const std::uint32_t length =
      static_cast<std::uint32_t>(segment.payload.size()) + (segment.has('F') ? 1 : 0);
  if (length == 0) return;
  if (!before(expected_, segment.sequence) && before(expected_, segment.sequence + length)) {
    const std::uint32_t known = expected_ - segment.sequence;
    received_ += segment.payload.substr(std::min<std::size_t>(known, segment.payload.size()));
    expected_ = segment.sequence + length;
    fin_ = fin_ || segment.has('F');
  }
  if (answers) acknowledge();
}

std::string take_body(std::string& bytes, unsigned status) {
  const std::size_t head = bytes.find("\r\n\r\n");
  const std::string start = fmt::format("HTTP/1.1 {} ", status);
  if (head == std::string::npos || !bytes.starts_with(start)) {
    ADD_FAILURE() << "no response with status " << status << ": " << bytes.substr(0, 200);
    return {};
  }
  constexpr std::string_view kLength = "Content-Length: ";
  const std::size_t at = bytes.find(kLength);
  const std::size_t length = std::stoul(bytes.substr(at + kLength.size()));
  EXPECT_GE(bytes.size(), head + 4 + length);
  std::string body = bytes.substr(head + 4, length);
  bytes.erase(0, head + 4 + length);
  return body;
}

}  // namespace mote::metadata::test
