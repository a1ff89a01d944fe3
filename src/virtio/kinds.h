// The table of virtio devices: one line registers one. What configures, assembles, saves and tests
// devices goes over this table; only who builds them includes it.
#pragma once

#include <string_view>
#include <tuple>

#include "virtio/block/device.h"

namespace mote::virtio {

// A kind of device. `D` has Config, State, `static Result<unique_ptr<D>> create(const Config&,
// const DeviceServices&)`, `static Result<unique_ptr<D>> restore(const Config&, const
// DeviceServices&, const State&)` and `State save() const`.
template <typename D>
struct Kind {
  using Device = D;
  using Config = typename D::Config;
  using State = typename D::State;
  std::string_view section;  // of the configuration file
};

inline constexpr std::tuple kDeviceKinds{Kind<Block>{"drives"}};

}  // namespace mote::virtio
