// What a tap of this host leaves to the other side: UDP datagrams that are still to be cut, both
// ways, through the host's own sockets.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>

#include "network/tap.h"
#include "network/tap_abi.h"
#include "virtio/net/net_abi.h"

namespace mote::network::test {
namespace {

constexpr const char* kHostAddress = "10.213.47.1";
constexpr const char* kGuestAddress = "10.213.47.2";
constexpr std::uint16_t kGuestPort = 7;
// VIRTIO_NET_HDR_GSO_UDP_L4 (VIRTIO 1.2, 5.1.6), which Debian 12's headers lack.
constexpr std::uint8_t kGsoUdpL4 = 5;
constexpr std::size_t kSegment = 1000;
constexpr std::size_t kSegments = 5;
constexpr std::size_t kHeaders = kEthernetHeaderSize + sizeof(iphdr) + sizeof(udphdr);

sockaddr_in address_of(const char* address, std::uint16_t port) {
  sockaddr_in made{};
  made.sin_family = AF_INET;
  made.sin_port = htons(port);
  ::inet_pton(AF_INET, address, &made.sin_addr);
  return made;
}

std::string text_of(std::size_t size) {
  std::string text;
  while (text.size() < size) text.push_back(static_cast<char>('a' + text.size() % 23));
  return text;
}

// The sum of 16-bit words in the order of the network that checksums of IP are made of.
std::uint16_t sum_of(const void* bytes, std::size_t size, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i + 1 < size; i += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, static_cast<const std::byte*>(bytes) + i, 2);
    sum += word;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

class TapOffloadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto tap = Tap::open("mtst%d", 1);
    if (!tap && (tap.error().kind() == ErrorKind::kPermission ||
                 tap.error().kind() == ErrorKind::kNotFound)) {
      GTEST_SKIP() << tap.error().text();
    }
    ASSERT_TRUE(tap) << tap.error().text();
    tap_ = std::move(*tap);
    if (!tap_->offered().uso) GTEST_SKIP() << "this kernel's taps cut no UDP (Linux 6.2)";
    host_.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    set_up_interface();
    const sockaddr_in here = address_of(kHostAddress, 0);
    ASSERT_EQ(::bind(host_.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here), 0);
    socklen_t length = sizeof host_address_;
    ::getsockname(host_.get(), reinterpret_cast<sockaddr*>(&host_address_), &length);
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(host_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  // Its address and that of the guest on it; and the interface's own.
  void set_up_interface() {
    const std::string name = tap_->interface_name();
    ifreq request{};
    std::memcpy(request.ifr_name, name.data(), name.size());
    const sockaddr_in address = address_of(kHostAddress, 0);
    std::memcpy(&request.ifr_addr, &address, sizeof address);
    ASSERT_EQ(::ioctl(host_.get(), SIOCSIFADDR, &request), 0);
    ASSERT_EQ(::ioctl(host_.get(), SIOCGIFFLAGS, &request), 0);
    request.ifr_flags |= IFF_UP;
    ASSERT_EQ(::ioctl(host_.get(), SIOCSIFFLAGS, &request), 0);
    ASSERT_EQ(::ioctl(host_.get(), SIOCGIFHWADDR, &request), 0);
    std::memcpy(mac_.data(), request.ifr_hwaddr.sa_data, mac_.size());
    arpreq neighbour{};
    const sockaddr_in guest = address_of(kGuestAddress, 0);
    std::memcpy(&neighbour.arp_pa, &guest, sizeof guest);
    neighbour.arp_ha.sa_family = ARPHRD_ETHER;
    std::memcpy(neighbour.arp_ha.sa_data, "\x06\0\0\0\0\x02", 6);
    neighbour.arp_flags = ATF_COM | ATF_PERM;
    std::memcpy(neighbour.arp_dev, name.data(), name.size());
    ASSERT_EQ(::ioctl(host_.get(), SIOCSARP, &neighbour), 0);
  }
  // A datagram to the host as a guest leaves it to be cut into segments.
  std::string uncut(const std::string& text) const {
    virtio_net_hdr_v1 header{};
    header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header.gso_type = kGsoUdpL4;
    header.hdr_len = kHeaders;
    header.gso_size = kSegment;
    header.csum_start = kEthernetHeaderSize + sizeof(iphdr);
    header.csum_offset = offsetof(udphdr, check);
    iphdr ip{};
    ip.version = 4;
    ip.ihl = sizeof ip / 4;
    ip.tot_len = htons(static_cast<std::uint16_t>(sizeof ip + sizeof(udphdr) + text.size()));
    ip.ttl = 64;
    ip.protocol = IPPROTO_UDP;
    ip.saddr = address_of(kGuestAddress, 0).sin_addr.s_addr;
    ip.daddr = host_address_.sin_addr.s_addr;
    ip.check = static_cast<std::uint16_t>(~sum_of(&ip, sizeof ip));
    udphdr udp{};
    udp.source = htons(kGuestPort);
    udp.dest = host_address_.sin_port;
    udp.len = htons(static_cast<std::uint16_t>(sizeof udp + text.size()));
    // Of the pseudo header alone: the rest is whoever cuts it.
    udp.check = sum_of(&ip.saddr, 8, std::uint32_t{htons(IPPROTO_UDP)} + udp.len);
    std::string frame(reinterpret_cast<const char*>(&header), kHeaderSize);
    frame.append(mac_.data(), mac_.size()).append("\x06\0\0\0\0\x02\x08\0", 8);
    frame.append(reinterpret_cast<const char*>(&ip), sizeof ip);
    frame.append(reinterpret_cast<const char*>(&udp), sizeof udp);
    return frame + text;
  }
  // The next frame that is a datagram to the guest.
  std::optional<std::string> next_datagram() {
    std::string into(kMaxFrameSize, '\0');
    for (int tries = 0; tries < 10'000; ++tries) {
      const iovec part{into.data(), into.size()};
      auto length = tap_->receive(0, std::span(&part, 1));
      if (!length) return std::nullopt;
      if (!*length) {
        ::usleep(1000);
        continue;
      }
      const bool is_ip = into.compare(kHeaderSize + 12, 2, std::string("\x08\0", 2)) == 0;
      if (is_ip && into[kHeaderSize + kEthernetHeaderSize + offsetof(iphdr, protocol)] ==
                       static_cast<char>(IPPROTO_UDP)) {
        return into.substr(0, **length);
      }
    }
    return std::nullopt;
  }
  void send_to_guest(const std::string& text) {
    const int segment = kSegment;
    ASSERT_EQ(::setsockopt(host_.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
    const sockaddr_in guest = address_of(kGuestAddress, kGuestPort);
    ASSERT_EQ(::sendto(host_.get(), text.data(), text.size(), 0,
                       reinterpret_cast<const sockaddr*>(&guest), sizeof guest),
              static_cast<ssize_t>(text.size()));
  }

  std::unique_ptr<Tap> tap_;
  UniqueFd host_;
  sockaddr_in host_address_{};
  std::array<char, 6> mac_{};
};

TEST_F(TapOffloadTest, ADatagramOfTheGuestIsCutByTheHost) {
  const std::string text = text_of(kSegments * kSegment - 300);
  std::string frame = uncut(text);
  const iovec part{frame.data(), frame.size()};
  const auto sent = tap_->send(0, std::span(&part, 1));
  ASSERT_TRUE(sent) << sent.error().text();
  for (std::size_t at = 0; at < text.size(); at += kSegment) {
    std::string seen(kMaxFrameSize, '\0');
    const ssize_t length = ::recv(host_.get(), seen.data(), seen.size(), 0);
    ASSERT_GT(length, 0) << "after " << at << " bytes";
    EXPECT_EQ(seen.substr(0, static_cast<std::size_t>(length)), text.substr(at, kSegment));
  }
}

TEST_F(TapOffloadTest, ADatagramToTheGuestIsLeftUncutWhereItTakesThat) {
  const std::string text = text_of(kSegments * kSegment);
  ASSERT_TRUE(tap_->set_offloads({.checksum = true, .uso = true}));
  send_to_guest(text);
  const auto whole = next_datagram();
  ASSERT_TRUE(whole);
  virtio_net_hdr_v1 header{};
  std::memcpy(&header, whole->data(), kHeaderSize);
  EXPECT_EQ(header.gso_type, kGsoUdpL4);
  EXPECT_EQ(header.gso_size, kSegment);
  EXPECT_EQ(whole->substr(kHeaderSize + kHeaders), text);
}

TEST_F(TapOffloadTest, ADatagramToAGuestThatTakesNoneUncutComesInSegments) {
  const std::string text = text_of(kSegments * kSegment);
  ASSERT_TRUE(tap_->set_offloads({.checksum = true, .tso4 = true}));
  send_to_guest(text);
  for (std::size_t at = 0; at < text.size(); at += kSegment) {
    const auto segment = next_datagram();
    ASSERT_TRUE(segment) << "after " << at << " bytes";
    EXPECT_EQ(segment->substr(kHeaderSize + kHeaders), text.substr(at, kSegment));
  }
}

}  // namespace
}  // namespace mote::network::test
