// What a transport counts, per device.
#pragma once

#include <boost/describe/class.hpp>

#include "base/counters.h"

namespace mote::virtio {

struct TransportMetrics {
  Counter activate_fails;  // starts that the device or a queue's address refused
  Counter cfg_fails;       // writes to registers or configuration space that mean nothing
  Counter refused_writes;  // register writes at the wrong time or with a wrong value
  Counter rings_broken;    // queues whose ring lied
  Counter resets;          // by the driver, of a device that was running
  Counter interrupts;      // raised; a vhost-user backend raises its device's itself
};
BOOST_DESCRIBE_STRUCT(TransportMetrics, (),
                      (activate_fails, cfg_fails, refused_writes, rings_broken, resets, interrupts))

}  // namespace mote::virtio
