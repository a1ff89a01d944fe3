// What of a transport is saved, whichever it is.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "virtio/queue/state.h"

namespace mote::virtio {

// A queue as the driver set it up, and how far it has come when it is running.
struct QueueSetupState {
  std::uint32_t size = 0;
  bool ready = false;
  std::uint64_t descriptors = 0;
  std::uint64_t driver = 0;
  std::uint64_t device = 0;
  std::optional<QueueState> running{};
};
BOOST_DESCRIBE_STRUCT(QueueSetupState, (), (size, ready, descriptors, driver, device, running))

struct SessionState {
  std::uint8_t status = 0;
  std::uint64_t driver_features = 0;
  bool stray_features = false;
  std::uint32_t config_generation = 0;
  std::vector<QueueSetupState> queues;
};
BOOST_DESCRIBE_STRUCT(SessionState, (),
                      (status, driver_features, stray_features, config_generation, queues))

struct MmioState {
  SessionState session;
  std::uint32_t interrupt_status = 0;
  std::uint32_t device_features_select = 0;
  std::uint32_t driver_features_select = 0;
  std::uint32_t queue_select = 0;
};
BOOST_DESCRIBE_STRUCT(MmioState, (),
                      (session, interrupt_status, device_features_select, driver_features_select,
                       queue_select))

}  // namespace mote::virtio
