// What of a vsock device is saved beside its queues. Connections are not: their other ends are in
// this process, so a restored driver is told that all of them are gone.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

struct VsockState {
  // The port that the next connection from the host gets, so that the guest does not soon see one
  // again that it knows.
  std::uint32_t next_host_port = 0;
};
BOOST_DESCRIBE_STRUCT(VsockState, (), (next_host_port))

}  // namespace mote::virtio
