// What of a console is saved: how far its driver and it have come with each port. Who is at the
// host's end of a port is not; the driver is told when that is another than it knows.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <vector>

namespace mote::virtio {

struct PortState {
  std::uint8_t due = 0;     // control messages for the driver: see console/due.h
  bool ready = false;       // the driver has the port, so that messages of it may follow
  bool guest_open = false;  // a program in the guest has the port
  bool told_open = false;   // what the driver knows of the host's end
  std::uint64_t sent = 0;   // bytes of the next chain of output that have left already
};
BOOST_DESCRIBE_STRUCT(PortState, (), (due, ready, guest_open, told_open, sent))

struct ConsoleState {
  std::vector<PortState> ports;
};
BOOST_DESCRIBE_STRUCT(ConsoleState, (), (ports))

}  // namespace mote::virtio
