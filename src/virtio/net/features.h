// What a network device offers and what a driver took, between feature bits and offloads.
#pragma once

#include <cstdint>

#include "network/link.h"

namespace mote::virtio {

// The features of a device whose link can do `offloads`: those that say what the guest may leave to
// the link, and what the link may leave to the guest.
std::uint64_t features_of(const network::Offloads& offloads);
// What the link may leave to a guest that negotiated `features`. What needs another that was not
// negotiated is left out.
network::Offloads guest_offloads(std::uint64_t features);

}  // namespace mote::virtio
