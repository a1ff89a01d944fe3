// What of a queue is saved: how far it has come in each ring. Where the rings lie belongs to the
// transport.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

struct QueueState {
  std::uint16_t next_avail = 0;  // index of the next entry to take from the available ring
  std::uint16_t next_used = 0;   // index of the next entry to put into the used ring
};
BOOST_DESCRIBE_STRUCT(QueueState, (), (next_avail, next_used))

}  // namespace mote::virtio
