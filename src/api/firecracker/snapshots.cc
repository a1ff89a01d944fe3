// Snapshots: a paused machine into files, and files into a machine that goes on.
#include <utility>

#include "api/firecracker/controller.h"
#include "api/firecracker/load_overrides.h"
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
  MOTE_CHECK_WITHIN(apply_overrides(body, config), "{}", kLoad);
  // Data that the store does not take is told before there is a machine.
  metadata::Store data(metadata_.size_limit());
  if (body.mmds) MOTE_CHECK_WITHIN(data.put(metadata::json_text(*body.mmds)), "{}: mmds", kLoad);
  const SerialConfig serial = body.serial.value_or(serial_);
  MOTE_CHECK_WITHIN(check(serial), "{}: serial", kLoad);
  // From here on the log says what becomes of the load.
  if (body.logger) MOTE_CHECK_WITHIN(apply(*body.logger), "{}: logger", kLoad);
  auto source = backend.backend_type == MemoryBackendType::Uffd
                    ? machine::receive_snapshot(loaded->state, config.machine, backend.backend_path,
                                                options_.pages_lost)
                    : machine::map_snapshot(loaded->state, config.machine, backend.backend_path);
  if (!source) return std::unexpected(std::move(source.error()).within(std::string(kLoad)));
  if (body.clock_realtime) source->clock = arch::ClockStart::kNow;
  auto machine =
      options_.restore_machine(config, serial, std::move(*source), loaded->state.machine);
  if (!machine) return std::unexpected(std::move(machine.error()).within(std::string(kLoad)));
  // Before the guest can ask for it.
  if (body.mmds) std::swap(metadata_, data);
  if (body.resume_vm) {
    if (auto ran = (*machine)->run(); !ran) {
      if (body.mmds) std::swap(metadata_, data);
      return std::unexpected(std::move(ran.error()).within(fmt::format("{}: resume_vm", kLoad)));
    }
  }
  config_ = std::move(config);
  serial_ = serial;
  adopt_machine(std::move(*machine),
                body.resume_vm ? InstanceState::Running : InstanceState::Paused);
  return {};
}

}  // namespace mote::api::firecracker
