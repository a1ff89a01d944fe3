// The table of virtio devices: one line registers one. What configures, assembles, saves and tests
// devices goes over this table; only who builds them includes it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "virtio/balloon/device.h"
#include "virtio/block/device.h"
#include "virtio/console/device.h"
#include "virtio/mem/device.h"
#include "virtio/net/device.h"
#include "virtio/pmem/device.h"
#include "virtio/rng/device.h"
#include "virtio/vhost_user_block/device.h"
#include "virtio/vsock/device.h"

namespace mote::virtio {

// A kind of device. Its section in a machine's configuration is the member of machine::VmConfig
// that holds its Config: a list, or an optional where a machine has one at most. `D` has Config,
// State, `static Result<unique_ptr<D>> create(const Config&, const DeviceServices&)`, `static
// Result<unique_ptr<D>> restore(const Config&, const DeviceServices&, const State&)` and `State
// save() const`.
template <typename D>
struct Kind {
  using Device = D;
  using Config = typename D::Config;
  using State = typename D::State;
  std::string_view what;               // one of these, for people: "drive"
  std::string Config::* id = nullptr;  // what tells several apart; null: there is one at most
  // Which of its section are of this kind, where a section has several; null: all.
  bool (*is_one)(const Config&) = nullptr;
};

// In the order in which a guest finds them.
inline constexpr std::tuple kDeviceKinds{
    Kind<Block>{"drive", &BlockConfig::drive_id, [](const auto& drive) { return !drive.socket; }},
    Kind<VhostUserBlock>{"drive", &BlockConfig::drive_id,
                         [](const auto& drive) { return drive.socket.has_value(); }},
    Kind<Net>{"interface", &NetConfig::iface_id},
    Kind<Vsock>{"vsock device"},
    Kind<Rng>{"entropy device"},
    Kind<Balloon>{"balloon"},
    Kind<Console>{"console"},
    Kind<Mem>{"memory-hotplug"},
    Kind<Pmem>{"pmem", &PmemConfig::id},
};

// The line of D in the table.
template <typename D>
inline constexpr std::size_t kKindIndex = []<typename... K>(const std::tuple<K...>&) {
  std::size_t index = 0;
  static_cast<void>(((std::is_same_v<typename K::Device, D> || (++index, false)) || ...));
  return index;
}(kDeviceKinds);

}  // namespace mote::virtio
