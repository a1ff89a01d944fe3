// What the machine does with a virtio device, whatever its kind: it is made from its configuration
// or from a saved state, and saved.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <tuple>
#include <variant>

#include "base/result.h"
#include "machine/device_list.h"
#include "machine/metrics.h"
#include "virtio/device.h"
#include "virtio/kinds.h"

namespace mote::machine {

namespace detail {
template <typename... K>
std::variant<typename K::State...> state_of(const std::tuple<K...>&);
}  // namespace detail

// The State of a device of any kind: alternative `i` is that of line `i` in virtio::kDeviceKinds.
using DeviceState = decltype(detail::state_of(virtio::kDeviceKinds));

// Makes the device that `listed` asks for: afresh, or as `state` says. Errors name the device; also
// a state that is another kind's.
Result<std::unique_ptr<virtio::Device>> make_device(const ListedDevice& listed,
                                                    const virtio::DeviceServices& services,
                                                    const DeviceState* state);

// What `device`, which is of line `kind`, has counted.
DeviceMetrics count_device(std::size_t kind, const virtio::Device& device);

// The state of `device`, which is of line `kind` and called `name`; its queues are stopped. An
// error (kUnsupported): another process serves its queues, and has a state of its own.
Result<DeviceState> save_device(std::size_t kind, std::string_view name,
                                const virtio::Device& device);

}  // namespace mote::machine
