// The kinds of devices that suites over the table of kinds are about: all but those whose queues
// another process runs, as what becomes of a chain is up to that one.
#pragma once

#include <gtest/gtest.h>

#include <tuple>

#include "virtio/kinds.h"

namespace mote::virtio::test {

namespace detail {
template <typename D>
auto own_queues() {
  if constexpr (requires { D::kQueuesElsewhere; }) {
    return std::tuple<>();
  } else {
    return std::tuple<D*>();
  }
}
template <typename... D>
::testing::Types<D...> types_of(const std::tuple<D*...>&);
template <typename... K>
auto devices_of(const std::tuple<K...>&) {
  return std::tuple_cat(own_queues<typename K::Device>()...);
}
}  // namespace detail

using DevicesWithOwnQueues = decltype(detail::types_of(detail::devices_of(kDeviceKinds)));

}  // namespace mote::virtio::test
