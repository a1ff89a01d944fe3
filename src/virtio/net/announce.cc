#include "virtio/net/announce.h"

#include <arpa/inet.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace mote::virtio {
namespace {

// The shortest frame of Ethernet, without its checksum.
constexpr std::size_t kFrameSize = 60;

// Behind a header of virtio that asks for nothing; what is free is 0.
struct Announcement {
  std::byte header[network::kHeaderSize];
  ether_header ethernet;
  ether_arp request;
  std::byte padding[kFrameSize - sizeof(ether_header) - sizeof(ether_arp)];
};
static_assert(sizeof(Announcement) == network::kHeaderSize + kFrameSize);

}  // namespace

void announce(network::Link& link, const network::MacAddress& address) {
  Announcement frame{};
  std::ranges::fill(frame.ethernet.ether_dhost, 0xff);
  std::ranges::copy(address.bytes, frame.ethernet.ether_shost);
  frame.ethernet.ether_type = htons(ETHERTYPE_REVARP);
  frame.request.ea_hdr = {.ar_hrd = htons(ARPHRD_ETHER),
                          .ar_pro = htons(ETHERTYPE_IP),
                          .ar_hln = ETH_ALEN,
                          .ar_pln = sizeof(in_addr),
                          .ar_op = htons(ARPOP_RREQUEST)};
  std::ranges::copy(address.bytes, frame.request.arp_sha);
  std::ranges::copy(address.bytes, frame.request.arp_tha);
  const iovec part{.iov_base = &frame, .iov_len = sizeof frame};
  static_cast<void>(link.send(0, std::span(&part, 1)));
}

}  // namespace mote::virtio
