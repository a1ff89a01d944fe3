// What a transport counts, per device.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

struct TransportMetrics {
  std::uint64_t activate_fails = 0;  // starts that the device or a queue's address refused
  std::uint64_t cfg_fails = 0;       // writes to registers or configuration space that mean nothing
  std::uint64_t refused_writes = 0;  // register writes at the wrong time or with a wrong value
  std::uint64_t rings_broken = 0;    // queues whose ring lied
  std::uint64_t resets = 0;          // by the driver, of a device that was running
};
BOOST_DESCRIBE_STRUCT(TransportMetrics, (),
                      (activate_fails, cfg_fails, refused_writes, rings_broken, resets))

}  // namespace mote::virtio
