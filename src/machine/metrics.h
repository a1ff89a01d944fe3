// What a machine counts, as whoever prints it takes it: copies, in one struct.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "devices/i8042.h"
#include "devices/serial_state.h"
#include "machine/config.h"
#include "machine/vcpu_metrics.h"
#include "virtio/kinds.h"
#include "virtio/transport/metrics.h"

namespace mote::machine {

namespace detail {
template <typename D>
using MetricsOf = std::remove_cvref_t<decltype(std::declval<const D&>().metrics())>;
template <typename... K>
std::variant<MetricsOf<typename K::Device>...> metrics_of(const std::tuple<K...>&);
}  // namespace detail

// The counters of a device of any kind: alternative `i` is that of line `i` in
// virtio::kDeviceKinds.
using DeviceMetrics = decltype(detail::metrics_of(virtio::kDeviceKinds));

struct DeviceCounts {
  const void* device = nullptr;  // tells a device from one of the same id that was there before
  std::string_view id;           // as ListedDevice's
  virtio::TransportMetrics transport;
  DeviceMetrics metrics;
};

struct MachineCounts {
  VcpuMetrics vcpu;  // over all vCPUs
  devices::SerialMetrics serial;
  devices::I8042Metrics i8042;
  std::uint64_t missed_accesses = 0;  // to addresses where nothing is

  // The virtio devices, in the guest's order. Without an allocation, so that a signal's handler may
  // ask.
  std::span<const DeviceCounts> devices() const { return std::span(slots).first(used); }
  std::array<DeviceCounts, kMaxDevices> slots;
  std::size_t used = 0;
};

}  // namespace mote::machine
