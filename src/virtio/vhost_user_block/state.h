// What of a vhost-user block device is saved beside its queues: what its driver believes of it.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

struct VhostUserBlockState {
  std::uint64_t features = 0;  // offered, beside the ring's
  std::uint64_t sectors = 0;
};
BOOST_DESCRIBE_STRUCT(VhostUserBlockState, (), (features, sectors))

}  // namespace mote::virtio
