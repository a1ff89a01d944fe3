#include "virtio/net/features.h"

#include "virtio/net/net_abi.h"

namespace mote::virtio {
namespace {

// VIRTIO 1.3, 5.1.3; not in the headers of Debian 12.
constexpr unsigned kGuestUso4 = 54;
constexpr unsigned kGuestUso6 = 55;
constexpr unsigned kHostUso = 56;

constexpr std::uint64_t bit(unsigned feature) { return std::uint64_t{1} << feature; }

}  // namespace

std::uint64_t features_of(const network::Offloads& offloads) {
  std::uint64_t features = 0;
  if (offloads.checksum) features |= bit(VIRTIO_NET_F_CSUM) | bit(VIRTIO_NET_F_GUEST_CSUM);
  if (offloads.tso4) features |= bit(VIRTIO_NET_F_HOST_TSO4) | bit(VIRTIO_NET_F_GUEST_TSO4);
  if (offloads.tso6) features |= bit(VIRTIO_NET_F_HOST_TSO6) | bit(VIRTIO_NET_F_GUEST_TSO6);
  if (offloads.ecn) features |= bit(VIRTIO_NET_F_HOST_ECN) | bit(VIRTIO_NET_F_GUEST_ECN);
  if (offloads.uso) features |= bit(kHostUso) | bit(kGuestUso4) | bit(kGuestUso6);
  return features;
}

network::Offloads guest_offloads(std::uint64_t features) {
  const auto has = [features](unsigned feature) { return (features & bit(feature)) != 0; };
  network::Offloads taken;
  taken.checksum = has(VIRTIO_NET_F_GUEST_CSUM);
  if (!taken.checksum) return taken;
  taken.tso4 = has(VIRTIO_NET_F_GUEST_TSO4);
  taken.tso6 = has(VIRTIO_NET_F_GUEST_TSO6);
  taken.ecn = has(VIRTIO_NET_F_GUEST_ECN) && (taken.tso4 || taken.tso6);
  // The kernel knows the two only together.
  taken.uso = has(kGuestUso4) && has(kGuestUso6);
  return taken;
}

}  // namespace mote::virtio
