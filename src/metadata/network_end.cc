#include "metadata/network_end.h"

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <algorithm>

namespace mote::metadata {
namespace {

// Firecracker's, which guests may know.
constexpr MacAddress kOwnMac{{0x06, 0x01, 0x23, 0x45, 0x67, 0x01}};

}  // namespace

NetworkEnd::NetworkEnd(Service& service, std::function<std::uint32_t()> first)
    : metrics_(service.metrics()),
      address_(parse_ipv4(service.config().ipv4_address).value_or(0)),
      tcp_(service, std::move(first)) {}

Route NetworkEnd::route_to(const MacAddress& mac, Ipv4 address) const {
  return {.from = kOwnMac, .to = mac, .from_address = address_, .to_address = address};
}

bool NetworkEnd::is_ours(Bytes start) {
  const auto frame = read_ethernet(start);
  if (!frame) {
    ++metrics_.rx_bad_eth;
    return false;
  }
  if (frame->type == ETH_P_ARP) {
    const auto arp = read_arp(frame->payload);
    return arp && arp->target_address == address_;
  }
  return frame->type == ETH_P_IP && ipv4_destination(frame->payload) == address_;
}

void NetworkEnd::take(unsigned lane, Bytes frame, bool unfinished, Time now) {
  ++metrics_.rx_accepted;
  const auto ethernet = read_ethernet(frame);
  if (!ethernet) {
    ++metrics_.rx_accepted_err;
  } else if (ethernet->type == ETH_P_ARP) {
    take_arp(lane, ethernet->payload);
  } else {
    take_ipv4(lane, *ethernet, unfinished, now);
  }
}

void NetworkEnd::take_arp(unsigned lane, Bytes packet) {
  const auto arp = read_arp(packet);
  if (!arp || arp->operation != ARPOP_REQUEST) {
    ++metrics_.rx_accepted_err;
    return;
  }
  const auto same = [&](const Reply& one) { return one.lane == lane && one.mac == arp->sender; };
  if (std::ranges::any_of(replies_, same)) return;
  if (replies_.size() == kMostReplies) {
    ++metrics_.tx_errors;
    return;
  }
  replies_.push_back({.lane = lane, .mac = arp->sender, .address = arp->sender_address});
}

void NetworkEnd::take_ipv4(unsigned lane, const Ethernet& frame, bool unfinished, Time now) {
  const auto packet = read_ipv4(frame.payload);
  if (!packet) {
    ++metrics_.rx_accepted_err;
    return;
  }
  // Nobody else has our address, and an answer goes to one host.
  const bool odd_source = packet->source == address_ || packet->source == INADDR_ANY ||
                          packet->source >= INADDR_UNSPEC_GROUP;
  if (packet->fragment || packet->protocol != IPPROTO_TCP || odd_source) {
    ++metrics_.rx_accepted_unusual;
    return;
  }
  const auto segment = read_tcp(*packet, !unfinished);
  if (!segment) {
    ++metrics_.rx_accepted_err;
    return;
  }
  tcp_.receive(
      {.lane = lane, .mac = frame.source, .address = packet->source, .port = segment->source_port},
      *segment, now);
}

bool NetworkEnd::ready(unsigned lane) const {
  return std::ranges::any_of(replies_, [&](const Reply& one) { return one.lane == lane; }) ||
         tcp_.ready(lane);
}

std::size_t NetworkEnd::give(unsigned lane, std::span<std::byte> frame, Time now) {
  std::size_t length = 0;
  const auto reply =
      std::ranges::find_if(replies_, [&](const Reply& one) { return one.lane == lane; });
  if (reply != replies_.end()) {
    length = write_arp_reply(route_to(reply->mac, reply->address), frame);
    replies_.erase(reply);
  } else if (const auto outgoing = tcp_.next(lane, now)) {
    length = write_tcp(route_to(outgoing->to.mac, outgoing->to.address), outgoing->segment, frame);
  }
  if (length == 0) return 0;
  ++metrics_.tx_frames;
  metrics_.tx_bytes += length;
  return length;
}

}  // namespace mote::metadata
