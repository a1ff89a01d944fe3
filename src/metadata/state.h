// What is saved of the metadata service: its configuration. Data and sessions are not, as both may
// be secrets of this one microVM; the guest's connections are dropped, and its clients ask again.
#pragma once

#include <boost/describe/class.hpp>

#include "metadata/config.h"

namespace mote::metadata {

struct ServiceState {
  MmdsConfig config{};
};
BOOST_DESCRIBE_STRUCT(ServiceState, (), (config))

}  // namespace mote::metadata
