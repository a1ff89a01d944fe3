#include "machine/device_kinds.h"

#include <array>
#include <utility>

namespace mote::machine {
namespace {

struct KindRow {
  Result<std::unique_ptr<virtio::Device>> (*make)(const void* config,
                                                  const virtio::DeviceServices& services,
                                                  const DeviceState* state);
  DeviceState (*save)(const virtio::Device& device);
  DeviceMetrics (*count)(const virtio::Device& device);
};

template <std::size_t kKind>
constexpr KindRow row_of() {
  using Kind = std::tuple_element_t<kKind, decltype(virtio::kDeviceKinds)>;
  using D = Kind::Device;
  return {.make = [](const void* config, const virtio::DeviceServices& services,
                     const DeviceState* state) -> Result<std::unique_ptr<virtio::Device>> {
            const auto& own = *static_cast<const Kind::Config*>(config);
            return state == nullptr ? D::create(own, services)
                                    : D::restore(own, services, std::get<kKind>(*state));
          },
          .save =
              [](const virtio::Device& device) {
                return DeviceState(std::in_place_index<kKind>,
                                   static_cast<const D&>(device).save());
              },
          .count =
              [](const virtio::Device& device) {
                return DeviceMetrics(std::in_place_index<kKind>,
                                     static_cast<const D&>(device).metrics());
              }};
}

template <std::size_t... kKind>
constexpr auto make_rows(std::index_sequence<kKind...>) {
  return std::array{row_of<kKind>()...};
}
constexpr auto kRows =
    make_rows(std::make_index_sequence<std::tuple_size_v<decltype(virtio::kDeviceKinds)>>());

}  // namespace

Result<std::unique_ptr<virtio::Device>> make_device(const ListedDevice& listed,
                                                    const virtio::DeviceServices& services,
                                                    const DeviceState* state) {
  if (state != nullptr && state->index() != listed.kind) {
    return fail(ErrorKind::kInvalid, "{}: what was saved is the state of another kind of device",
                listed.name);
  }
  return kRows[listed.kind].make(listed.config, services, state);
}

DeviceMetrics count_device(std::size_t kind, const virtio::Device& device) {
  return kRows[kind].count(device);
}

Result<DeviceState> save_device(std::size_t kind, std::string_view name,
                                const virtio::Device& device) {
  if (device.traits().queues_elsewhere) {
    return fail(ErrorKind::kUnsupported,
                "{}: its vhost-user backend has a state that cannot be saved; a machine is saved "
                "without such a device",
                name);
  }
  return kRows[kind].save(device);
}

}  // namespace mote::machine
