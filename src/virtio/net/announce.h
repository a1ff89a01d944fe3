// A machine that goes on elsewhere is behind another port of its bridge, and nobody knows until it
// sends something by itself: the device says so in its place.
#pragma once

#include "network/link.h"
#include "network/mac_address.h"

namespace mote::virtio {

// Sends a reverse ARP request from `address` to all (RFC 903), as switches learn from and nobody
// answers. One that cannot be sent is not sent.
void announce(network::Link& link, const network::MacAddress& address);

}  // namespace mote::virtio
