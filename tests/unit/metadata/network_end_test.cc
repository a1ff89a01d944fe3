// What is on the wire beside sound TCP: ARP, and packets that are none.
#include "metadata/network_end.h"

#include <linux/if_arp.h>
#include <netinet/in.h>

#include <gtest/gtest.h>

#include <random>

#include "metadata/tcp_peer.h"

namespace mote::metadata {
namespace {

using test::arp_frame;
using test::Frame;
using test::ipv4_frame;
using test::Stage;
using test::tcp_frame;
using test::Wire;

class NetworkEndTest : public testing::Test {
 protected:
  bool ours(const Frame& frame) { return wire.end().is_ours(frame); }

  Stage stage;
  Wire wire{stage.service};
};

TEST_F(NetworkEndTest, SaysWhereItIs) {
  wire.send(arp_frame(ARPOP_REQUEST));
  const Frame reply = wire.receive();
  const std::vector<int> expected{
      6,   0,   0xac, 0x10, 0, 2, 6,    1,    0x23, 0x45, 0x67, 1,    8,    6,  // Ethernet
      0,   1,   8,    0,    6, 4, 0,    2,    6,    1,    0x23, 0x45, 0x67, 1,
      169, 254, 169,  254,  6, 0, 0xac, 0x10, 0,    2,    172,  16,   0,    2};
  ASSERT_EQ(reply.size(), expected.size());
  for (std::size_t i = 0; i < reply.size(); ++i) EXPECT_EQ(static_cast<int>(reply[i]), expected[i]);
  EXPECT_TRUE(wire.receive().empty());
  EXPECT_EQ(stage.metrics.tx_frames, 1U);
  EXPECT_EQ(stage.metrics.tx_bytes, reply.size());
}

TEST_F(NetworkEndTest, TakesWhatIsForItsAddressAlone) {
  EXPECT_TRUE(ours(arp_frame(ARPOP_REQUEST)));
  EXPECT_FALSE(ours(arp_frame(ARPOP_REQUEST, 0xa9fea9fd)));
  EXPECT_TRUE(ours(tcp_frame({.flags = "S"})));
  Frame other = tcp_frame({.flags = "S"});
  other[kEthernetHeader + 19] = std::byte{1};
  EXPECT_FALSE(ours(other));
  Frame ipv6 = tcp_frame({.flags = "S"});
  ipv6[12] = std::byte{0x86};
  ipv6[13] = std::byte{0xdd};
  EXPECT_FALSE(ours(ipv6));
  EXPECT_EQ(stage.metrics.rx_bad_eth, 0U);
  const Frame whole = tcp_frame({.flags = "S"});
  for (std::size_t length = 0; length < kEthernetHeader + kIpv4Header; ++length) {
    EXPECT_FALSE(ours(Frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))));
  }
  EXPECT_EQ(stage.metrics.rx_bad_eth, kEthernetHeader);
}

TEST_F(NetworkEndTest, CountsArpThatIsNoRequest) {
  wire.send(arp_frame(ARPOP_REPLY));
  wire.send(arp_frame(77));
  EXPECT_TRUE(wire.receive_all().empty());
  EXPECT_EQ(stage.metrics.rx_accepted, 2U);
  EXPECT_EQ(stage.metrics.rx_accepted_err, 2U);
}

TEST_F(NetworkEndTest, KeepsFewArpReplies) {
  for (unsigned i = 0; i < 1000; ++i) {
    Frame frame = arp_frame(ARPOP_REQUEST);
    frame[kEthernetHeader + 12] = static_cast<std::byte>(i);
    frame[kEthernetHeader + 13] = static_cast<std::byte>(i >> 8);
    wire.send(frame);
  }
  EXPECT_EQ(wire.receive_all().size(), NetworkEnd::kMostReplies);
  EXPECT_EQ(stage.metrics.tx_errors, 1000 - NetworkEnd::kMostReplies);
}

TEST_F(NetworkEndTest, DropsDamagedPacketsAndCountsThem) {
  const Frame sound = tcp_frame({.source_port = 4000, .flags = "S"});
  std::uint64_t damaged = 0;
  // Each byte behind the Ethernet header is under a checksum, but the destination decides before.
  for (std::size_t i = kEthernetHeader; i < sound.size(); ++i) {
    if (i >= kEthernetHeader + 16 && i < kEthernetHeader + kIpv4Header) continue;
    Frame frame = sound;
    frame[i] ^= std::byte{0x11};
    wire.send(frame);
    ++damaged;
  }
  EXPECT_EQ(stage.metrics.rx_accepted_err, damaged);
  EXPECT_TRUE(wire.receive_all().empty());
  EXPECT_EQ(wire.end().connections(), 0U);
}

TEST_F(NetworkEndTest, TakesASegmentWhoseChecksumIsLeftToTheHost) {
  const Frame unfinished = tcp_frame({.source_port = 4000, .flags = "S"}, false);
  wire.send(unfinished, false);
  EXPECT_EQ(wire.end().connections(), 0U);
  wire.send(unfinished, true);
  EXPECT_EQ(wire.end().connections(), 1U);
}

TEST_F(NetworkEndTest, HasNoUseForOtherProtocolsFragmentsAndOddSources) {
  wire.send(ipv4_frame(IPPROTO_ICMP, "\x08\x00"));
  wire.send(ipv4_frame(IPPROTO_UDP, std::string(8, '\0')));
  for (const Ipv4 source : {test::kServiceAddress, Ipv4{0}, Ipv4{0xe0000001}, Ipv4{0xffffffff}}) {
    wire.send(ipv4_frame(IPPROTO_TCP, std::string(20, '\0'), source));
  }
  Frame fragment = tcp_frame({.flags = "S"});
  fragment[kEthernetHeader + 6] = std::byte{0x20};
  // Its checksum with that bit.
  fragment[kEthernetHeader + 10] =
      static_cast<std::byte>(static_cast<std::uint8_t>(fragment[kEthernetHeader + 10]) - 0x20);
  wire.send(fragment);
  EXPECT_EQ(stage.metrics.rx_accepted_unusual, 7U);
  EXPECT_EQ(stage.metrics.rx_accepted_err, 0U);
  EXPECT_TRUE(wire.receive_all().empty());
}

TEST_F(NetworkEndTest, BearsAnyBytes) {
  std::mt19937 random(1);
  const Frame sound = tcp_frame({.source_port = 4000, .flags = "S", .payload = "GET /"});
  for (int i = 0; i < 20000; ++i) {
    Frame frame = i % 2 == 0 ? sound : arp_frame(ARPOP_REQUEST);
    for (unsigned changes = random() % 5; changes > 0; --changes) {
      frame[random() % frame.size()] = static_cast<std::byte>(random());
    }
    frame.resize(random() % 4 == 0 ? random() % (frame.size() + 1) : frame.size());
    if (!ours(frame)) continue;
    wire.end().take(0, frame, random() % 2 == 0, wire.now());
    if (i % 50 == 0) wire.receive_all();
  }
  EXPECT_LE(wire.end().connections(), TcpEndpoint::kMostConnections);
}

}  // namespace
}  // namespace mote::metadata
