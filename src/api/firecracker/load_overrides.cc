#include "api/firecracker/load_overrides.h"

#include <algorithm>
#include <string_view>

#include "base/json.h"
#include "base/same_file.h"

namespace mote::api::firecracker {
namespace {

// The one of `list` with this id; an error (kNotFound) says which ids there are.
template <typename Config>
Result<Config*> find(std::vector<Config>& list, std::string Config::* id, std::string_view wanted,
                     std::string_view field, std::string_view what) {
  const auto found = std::ranges::find(list, wanted, [id](const Config& one) { return one.*id; });
  if (found != list.end()) return &*found;
  std::vector<std::string> there;
  for (const Config& one : list) there.push_back(json::quote(one.*id));
  return fail(ErrorKind::kNotFound, "{}: the snapshot has no {} {}; it has {}", field, what,
              json::quote(wanted),
              there.empty() ? "none" : fmt::format("{}", fmt::join(there, ", ")));
}

Result<void> override_interfaces(const std::vector<NetworkOverride>& overrides,
                                 machine::VmConfig& config) {
  for (const NetworkOverride& wanted : overrides) {
    MOTE_TRY(virtio::NetConfig* const interface,
             find(config.network_interfaces, &virtio::NetConfig::iface_id, wanted.iface_id,
                  "network_overrides", "interface"));
    interface->host_dev_name = wanted.host_dev_name;
    interface->tap_fds.clear();
    if (!wanted.guest_mac) continue;
    if (!interface->guest_mac) {
      return fail(ErrorKind::kInvalid,
                  "network_overrides: interface {} had no guest_mac, so that its guest made up an "
                  "address and looks for none",
                  json::quote(wanted.iface_id));
    }
    interface->guest_mac = wanted.guest_mac;
    for (char& c : *interface->guest_mac) {
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    }
  }
  // A number that was a tap in the process that was saved is anything in this one.
  for (const virtio::NetConfig& interface : config.network_interfaces) {
    if (interface.tap_fds.empty()) continue;
    return fail(ErrorKind::kInvalid,
                "network_overrides: interface {} had descriptors of the process that was saved; "
                "name a tap for it",
                json::quote(interface.iface_id));
  }
  return {};
}

Result<void> override_vsock(const std::optional<VsockOverride>& wanted, machine::VmConfig& config) {
  if (!wanted) return {};
  if (!config.vsock) {
    return fail(ErrorKind::kNotFound, "vsock_override: the snapshot has no vsock device");
  }
  config.vsock->uds_path = wanted->uds_path;
  if (wanted->guest_cid) config.vsock->guest_cid = *wanted->guest_cid;
  return {};
}

// The clone's own layer lies on all that the snapshot's drive was.
Result<void> lay_over(const DriveOverride& wanted, virtio::BlockConfig& drive) {
  std::vector<std::string> below = drive.layers;
  below.push_back(*drive.path_on_host);
  if (wanted.layers && wanted.layers->size() != below.size()) {
    return fail(ErrorKind::kInvalid,
                "drive_overrides: drive {} lies on {} files, and layers names {}",
                json::quote(wanted.drive_id), below.size(), wanted.layers->size());
  }
  drive.layers = wanted.layers.value_or(std::move(below));
  drive.path_on_host = wanted.path_on_host;
  return {};
}

Result<void> override_drives(const std::vector<DriveOverride>& overrides,
                             machine::VmConfig& config) {
  std::vector<std::string_view> seen;
  for (const DriveOverride& wanted : overrides) {
    MOTE_TRY(virtio::BlockConfig* const drive, find(config.drives, &virtio::BlockConfig::drive_id,
                                                    wanted.drive_id, "drive_overrides", "drive"));
    if (std::ranges::find(seen, wanted.drive_id) != seen.end()) {
      return fail(ErrorKind::kInvalid, "drive_overrides: drive {} is named twice",
                  json::quote(wanted.drive_id));
    }
    seen.push_back(wanted.drive_id);
    if (virtio::writes_layer(*drive)) {
      MOTE_CHECK(lay_over(wanted, *drive));
      continue;
    }
    if (wanted.layers && drive->format != virtio::DiskFormat::Overlay) {
      return fail(ErrorKind::kInvalid,
                  "drive_overrides: drive {} is not of format overlay, and has no layers",
                  json::quote(wanted.drive_id));
    }
    drive->path_on_host = wanted.path_on_host;
    if (wanted.layers) drive->layers = *wanted.layers;
  }
  for (const virtio::BlockConfig& drive : config.drives) {
    if (!virtio::writes_layer(drive) || std::ranges::find(seen, drive.drive_id) != seen.end()) {
      continue;
    }
    return fail(ErrorKind::kInvalid,
                "drive_overrides: drive {} is of layers, of which the microVM needs one of its "
                "own: name a path for it",
                json::quote(drive.drive_id));
  }
  return {};
}

Result<void> override_files(const SnapshotLoad& load, machine::VmConfig& config) {
  MOTE_CHECK(override_drives(load.drive_overrides, config));
  for (const PmemOverride& wanted : load.pmem_overrides) {
    MOTE_TRY(virtio::PmemConfig* const pmem,
             find(config.pmem, &virtio::PmemConfig::id, wanted.id, "pmem_overrides", "pmem"));
    pmem->path_on_host = wanted.path_on_host;
  }
  return {};
}

Result<void> override_console(const std::vector<ConsoleOverride>& overrides,
                              machine::VmConfig& config) {
  for (const ConsoleOverride& wanted : overrides) {
    const std::size_t ports = config.console ? config.console->ports.size() : 0;
    if (wanted.port >= ports) {
      return fail(ErrorKind::kNotFound,
                  "console_overrides: the snapshot has no port {}; its console has {} ports",
                  wanted.port, ports);
    }
    virtio::PortConfig& port = config.console->ports[wanted.port];
    if (port.mode != virtio::PortMode::File && port.mode != virtio::PortMode::Socket) {
      return fail(ErrorKind::kInvalid,
                  "console_overrides: port {} is no File and no Socket, and has no path",
                  wanted.port);
    }
    port.path = wanted.path;
  }
  return {};
}

void choose_pages(LoadHugePages wanted, machine::HugePages& pages) {
  switch (wanted) {
    case LoadHugePages::Snapshot:
      break;
    case LoadHugePages::None:
      pages = machine::HugePages::None;
      break;
    case LoadHugePages::Transparent:
      pages = machine::HugePages::Transparent;
      break;
    case LoadHugePages::TwoMib:
      pages = machine::HugePages::TwoMib;
      break;
  }
}

// Whether the file at `path` is one of `config`.
bool has_file(const machine::VmConfig& config, const std::string& path) {
  return std::ranges::any_of(machine::files_of(config), [&path](const std::string* other) {
    return *other == path || is_same_file(*other, path);
  });
}

}  // namespace

Result<void> apply_overrides(const SnapshotLoad& load, machine::VmConfig& config) {
  MOTE_CHECK(override_interfaces(load.network_overrides, config));
  MOTE_CHECK(override_vsock(load.vsock_override, config));
  MOTE_CHECK(override_files(load, config));
  MOTE_CHECK(override_console(load.console_overrides, config));
  config.machine.track_dirty_pages = load.track_dirty_pages || load.enable_diff_snapshots;
  choose_pages(load.huge_pages, config.machine.huge_pages);
  return machine::check(config);
}

Result<void> check_apart(const machine::VmConfig& saved, const machine::VmConfig& config) {
  const auto shared = [](std::string_view field, std::string_view what, std::string_view id) {
    return fail(ErrorKind::kInvalid,
                "{}: {} {} can be written, and the microVM that this one is forked of has the same "
                "file; name one of this one's own, or make it read-only there",
                field, what, json::quote(id));
  };
  for (const virtio::BlockConfig& drive : config.drives) {
    if (drive.is_read_only.value_or(false) || !drive.path_on_host) continue;
    if (has_file(saved, *drive.path_on_host)) {
      return shared("drive_overrides", "drive", drive.drive_id);
    }
  }
  for (const virtio::PmemConfig& pmem : config.pmem) {
    if (pmem.read_only || !has_file(saved, pmem.path_on_host)) continue;
    return shared("pmem_overrides", "pmem", pmem.id);
  }
  return {};
}

}  // namespace mote::api::firecracker
