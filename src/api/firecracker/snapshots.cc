// Snapshots: a paused machine into files, and files into a machine that goes on.
#include <algorithm>
#include <utility>

#include "api/firecracker/controller.h"
#include "base/json.h"
#include "base/log.h"
#include "machine/snapshot.h"

namespace mote::api::firecracker {
namespace {

constexpr std::string_view kLoad = "PUT /snapshot/load";

// Where guest memory comes from. It is given in one of two ways.
Result<MemoryBackend> backend_of(const SnapshotLoad& load) {
  if (load.mem_backend.has_value() == load.mem_file_path.has_value()) {
    return fail(ErrorKind::kInvalid,
                "{}: {} of mem_backend and mem_file_path is given; exactly one must be", kLoad,
                load.mem_backend ? "each" : "neither");
  }
  if (load.mem_backend) return *load.mem_backend;
  return MemoryBackend{.backend_path = *load.mem_file_path,
                       .backend_type = MemoryBackendType::File};
}

Result<void> override_interfaces(const std::vector<NetworkOverride>& overrides,
                                 machine::VmConfig& config) {
  for (const NetworkOverride& wanted : overrides) {
    const auto found =
        std::ranges::find(config.network_interfaces, wanted.iface_id, &virtio::NetConfig::iface_id);
    if (found == config.network_interfaces.end()) {
      return fail(ErrorKind::kNotFound, "network_overrides: the snapshot has no interface {}",
                  json::quote(wanted.iface_id));
    }
    found->host_dev_name = wanted.host_dev_name;
    found->tap_fds.clear();
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

// The snapshot's configuration, as `load` wants it.
Result<void> override(const SnapshotLoad& load, machine::VmConfig& config) {
  MOTE_CHECK(override_interfaces(load.network_overrides, config));
  if (load.vsock_override) {
    if (!config.vsock) {
      return fail(ErrorKind::kNotFound, "vsock_override: the snapshot has no vsock device");
    }
    config.vsock->uds_path = load.vsock_override->uds_path;
  }
  config.machine.track_dirty_pages = load.track_dirty_pages || load.enable_diff_snapshots;
  switch (load.huge_pages) {
    case LoadHugePages::Snapshot:
      break;
    case LoadHugePages::None:
      config.machine.huge_pages = machine::HugePages::None;
      break;
    case LoadHugePages::Transparent:
      config.machine.huge_pages = machine::HugePages::Transparent;
      break;
    case LoadHugePages::TwoMib:
      config.machine.huge_pages = machine::HugePages::TwoMib;
      break;
  }
  return machine::check(config);
}

}  // namespace

Result<void> Controller::create_snapshot(SnapshotCreate body) {
  MOTE_CHECK(after_start("PUT /snapshot/create"));
  if (state_ != InstanceState::Paused) {
    return fail(ErrorKind::kState,
                "PUT /snapshot/create: the microVM runs; pause it first (PATCH /vm)");
  }
  RequestLatencies& latencies = metrics_.counts.latencies_us;
  const bool full = body.snapshot_type == SnapshotType::Full;
  const LatencyScope took(full ? latencies.vmm_full_create_snapshot
                               : latencies.vmm_diff_create_snapshot);
  MOTE_CHECK_WITHIN(machine_->create_snapshot(
                        config_, full ? machine::SnapshotKind::kFull : machine::SnapshotKind::kDiff,
                        {.state = body.snapshot_path, .memory = body.mem_file_path},
                        fmt::format("mote-vmm {}", options_.version)),
                    "PUT /snapshot/create");
  return {};
}

Result<void> Controller::load_snapshot(SnapshotLoad body) {
  MOTE_CHECK(before_start(kLoad));
  if (configured_) {
    return fail(ErrorKind::kState,
                "{} is for a microVM of which nothing was configured: the snapshot has its "
                "configuration. Only logger, metrics, serial and mmds go before it",
                kLoad);
  }
  MOTE_TRY(const MemoryBackend backend, backend_of(body));
  const LatencyScope took(metrics_.counts.latencies_us.vmm_load_snapshot);
  auto loaded = machine::read_snapshot(body.snapshot_path);
  if (!loaded) return std::unexpected(std::move(loaded.error()).within(std::string(kLoad)));
  machine::VmConfig config = loaded->state.config;
  MOTE_CHECK_WITHIN(override(body, config), "{}", kLoad);
  auto source = backend.backend_type == MemoryBackendType::Uffd
                    ? machine::receive_snapshot(loaded->state, config.machine, backend.backend_path,
                                                options_.pages_lost)
                    : machine::map_snapshot(loaded->state, config.machine, backend.backend_path);
  if (!source) return std::unexpected(std::move(source.error()).within(std::string(kLoad)));
  if (body.clock_realtime) source->clock = arch::ClockStart::kNow;
  auto machine =
      options_.restore_machine(config, serial_, std::move(*source), loaded->state.machine);
  if (!machine) return std::unexpected(std::move(machine.error()).within(std::string(kLoad)));
  if (body.resume_vm) MOTE_CHECK_WITHIN((*machine)->run(), "{}: resume_vm", kLoad);
  config_ = std::move(config);
  adopt_machine(std::move(*machine),
                body.resume_vm ? InstanceState::Running : InstanceState::Paused);
  return {};
}

}  // namespace mote::api::firecracker
