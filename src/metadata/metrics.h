// What the metadata service counts, under Firecracker's names. rx is what comes from the guest, tx
// what goes to it.
#pragma once

#include <boost/describe/class.hpp>

#include "base/counters.h"

namespace mote::metadata {

struct MmdsMetrics {
  Counter rx_accepted;          // frames taken out of the guest's traffic
  Counter rx_accepted_err;      // ... in whose handling something went wrong
  Counter rx_accepted_unusual;  // ... that are for the service but neither ARP nor TCP to its port
  Counter rx_bad_eth;           // frames too short for an Ethernet header
  Counter rx_invalid_token;     // requests whose session token is none, or is no longer valid
  Counter rx_no_token;          // requests without the session token that is wanted
  Counter rx_count;             // requests and segments that the TCP end took
  Counter tx_bytes;             // of frames given to the guest
  Counter tx_count;             // segments and answers that the TCP end sent
  Counter tx_errors;            // frames for the guest that could not be made or given
  Counter tx_frames;            // frames given to the guest
  Counter connections_created;
  Counter connections_destroyed;
};
BOOST_DESCRIBE_STRUCT(MmdsMetrics, (),
                      (rx_accepted, rx_accepted_err, rx_accepted_unusual, rx_bad_eth,
                       rx_invalid_token, rx_no_token, rx_count, tx_bytes, tx_count, tx_errors,
                       tx_frames, connections_created, connections_destroyed))

}  // namespace mote::metadata
