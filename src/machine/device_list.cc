#include "machine/device_list.h"

#include <algorithm>
#include <array>
#include <boost/describe/members.hpp>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "base/json.h"
#include "base/json_describe.h"
#include "virtio/kinds.h"

namespace mote::machine {
namespace {

// The section of a kind in VmConfig: the one member that holds its Config.
// ------------------------------------------------------------------------------------------------

template <typename Config>
std::span<const Config> all_of(const std::vector<Config>& list) {
  return list;
}
template <typename Config>
std::span<const Config> all_of(const std::optional<Config>& one) {
  return one ? std::span<const Config>(&*one, 1) : std::span<const Config>();
}

template <typename Descriptor, typename Config>
constexpr bool holds() {
  using Member = std::remove_cvref_t<decltype(std::declval<VmConfig>().*Descriptor::pointer)>;
  return std::is_same_v<Member, std::vector<Config>> ||
         std::is_same_v<Member, std::optional<Config>>;
}

template <typename Config,
          typename List = boost::describe::describe_members<VmConfig, boost::describe::mod_public>>
struct Section;
template <typename Config, template <typename...> typename List, typename... Descriptor>
struct Section<Config, List<Descriptor...>> {
  static_assert((holds<Descriptor, Config>() + ...) == 1,
                "VmConfig needs one member that holds the configuration of this kind");

  static constexpr std::string_view name() {
    std::string_view name;
    ((holds<Descriptor, Config>() ? void(name = json::member_name<VmConfig, Descriptor>())
                                  : void()),
     ...);
    return name;
  }
  static std::span<const Config> of(const VmConfig& config) {
    std::span<const Config> found;
    (
        [&] {
          if constexpr (holds<Descriptor, Config>()) found = all_of(config.*Descriptor::pointer);
        }(),
        ...);
    return found;
  }
};

// What is asked of a kind, whichever it is: a row of functions for each line of the table.
// ------------------------------------------------------------------------------------------------

struct KindRow {
  std::string_view section;
  void (*list)(const VmConfig& config, std::vector<ListedDevice>& into);
  Result<void> (*check)(const void* config);
  Result<void> (*check_together)(const VmConfig& config);
};

template <typename Config>
bool is_root(const Config& config) {
  if constexpr (requires { config.is_root_device; }) return config.is_root_device;
  if constexpr (requires { config.root_device; }) return config.root_device;
  return false;
}

template <std::size_t kKind>
constexpr KindRow row_of() {
  using Config = std::tuple_element_t<kKind, decltype(virtio::kDeviceKinds)>::Config;
  return {.section = Section<Config>::name(),
          .list =
              [](const VmConfig& config, std::vector<ListedDevice>& into) {
                const auto& kind = std::get<kKind>(virtio::kDeviceKinds);
                for (const Config& device : Section<Config>::of(config)) {
                  if (kind.is_one != nullptr && !kind.is_one(device)) continue;
                  ListedDevice listed{.kind = kKind,
                                      .section = Section<Config>::name(),
                                      .id = kind.id == nullptr ? std::string() : device.*kind.id,
                                      .name = std::string(kind.what),
                                      .root = is_root(device),
                                      .config = &device};
                  if (kind.id != nullptr) listed.name += fmt::format(" '{}'", listed.id);
                  into.push_back(std::move(listed));
                }
              },
          .check = [](const void* config) { return check(*static_cast<const Config*>(config)); },
          .check_together = [](const VmConfig& config) -> Result<void> {
            const std::span<const Config> all = Section<Config>::of(config);
            if constexpr (requires { check_together(all); }) return check_together(all);
            return {};
          }};
}

template <std::size_t... kKind>
constexpr auto make_rows(std::index_sequence<kKind...>) {
  return std::array{row_of<kKind>()...};
}
constexpr auto kRows =
    make_rows(std::make_index_sequence<std::tuple_size_v<decltype(virtio::kDeviceKinds)>>());

// What must hold between devices
// ------------------------------------------------------------------------------------------------

Result<void> check_ids(const std::vector<ListedDevice>& devices) {
  for (auto one = devices.begin(); one != devices.end(); ++one) {
    const auto same = [&](const ListedDevice& other) {
      return other.section == one->section && other.id == one->id;
    };
    if (std::none_of(devices.begin(), one, same)) continue;
    return fail(ErrorKind::kInvalid, "{}: two have the id {}; each must have its own", one->section,
                json::quote(one->id));
  }
  return {};
}

Result<void> check_roots(const std::vector<ListedDevice>& devices) {
  const ListedDevice* root = nullptr;
  for (const ListedDevice& device : devices) {
    if (!device.root) continue;
    if (root != nullptr) {
      return fail(ErrorKind::kInvalid,
                  "{}: {} and {} are both to be the root device; at most one may", device.section,
                  root->name, device.name);
    }
    root = &device;
  }
  return {};
}

}  // namespace

std::vector<ListedDevice> list_devices(const VmConfig& config) {
  std::vector<ListedDevice> devices;
  for (const KindRow& row : kRows) {
    const std::size_t before = devices.size();
    row.list(config, devices);
    if (devices.size() == before) continue;
    // Kinds of one section stand beside one another in the table, and mix as their section says.
    const auto front = std::ranges::find(devices, devices.back().section, &ListedDevice::section);
    std::sort(front, devices.end(), [](const ListedDevice& one, const ListedDevice& other) {
      if (one.root != other.root) return one.root;
      return std::less<>()(one.config, other.config);
    });
  }
  return devices;
}

Result<void> check_device_count(const VmConfig& config) {
  const std::size_t count = list_devices(config).size();
  if (count <= kMaxDevices) return {};
  return fail(ErrorKind::kInvalid, "there are {} devices; a machine has room for {}", count,
              kMaxDevices);
}

Result<void> check_devices(const VmConfig& config) {
  const std::vector<ListedDevice> devices = list_devices(config);
  for (const ListedDevice& device : devices) {
    MOTE_CHECK_WITHIN(kRows[device.kind].check(device.config), "{}", device.section);
  }
  MOTE_CHECK(check_ids(devices));
  for (std::size_t kind = 0; kind < kRows.size(); ++kind) {
    MOTE_CHECK_WITHIN(kRows[kind].check_together(config), "{}", kRows[kind].section);
  }
  return check_roots(devices);
}

}  // namespace mote::machine
