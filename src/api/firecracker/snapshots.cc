// Snapshots: a paused machine into files, and files into a machine that goes on.
#include <chrono>
#include <utility>

#include "api/firecracker/controller.h"
#include "api/firecracker/load_overrides.h"
#include "base/json.h"
#include "base/log.h"
#include "machine/fork.h"
#include "machine/layers.h"
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
  const MemoryBackend backend =
      load.mem_backend ? *load.mem_backend : MemoryBackend{.backend_path = *load.mem_file_path};
  if (load.prefetch && backend.backend_type != MemoryBackendType::File) {
    return fail(ErrorKind::kInvalid,
                "{}: prefetch is for memory of backend_type File, beside which the working set is",
                kLoad);
  }
  const bool by_descriptors = backend.backend_type == MemoryBackendType::Descriptors;
  if (by_descriptors && !(load.snapshot_path.empty() && backend.backend_path.empty())) {
    return fail(ErrorKind::kInvalid,
                "{}: with backend_type Descriptors neither snapshot_path nor backend_path is given",
                kLoad);
  }
  if (!by_descriptors && (load.snapshot_path.empty() || backend.backend_path.empty())) {
    return fail(ErrorKind::kInvalid, "{}: {} is missing; it must be the path of {}", kLoad,
                load.snapshot_path.empty() ? "snapshot_path" : "backend_path",
                load.snapshot_path.empty() ? "the state" : "guest memory");
  }
  if (!by_descriptors && !load.descriptors.empty()) {
    return fail(ErrorKind::kInvalid,
                "{}: {} descriptors came with the request; backend_type Descriptors takes them",
                kLoad, load.descriptors.size());
  }
  return backend;
}

Result<machine::FromDescriptors> read_state(SnapshotLoad& body, const MemoryBackend& backend) {
  if (backend.backend_type == MemoryBackendType::Descriptors) {
    return machine::read_descriptors(std::move(body.descriptors));
  }
  machine::FromDescriptors from;
  MOTE_TRY(from.loaded, machine::read_snapshot(body.snapshot_path));
  return from;
}

Result<machine::RestoreSource> map_memory(machine::FromDescriptors& from,
                                          const machine::MachineConfig& config,
                                          const MemoryBackend& backend,
                                          const snapshot::PageHandler::Lost& lost,
                                          const machine::Shell* shell) {
  switch (backend.backend_type) {
    case MemoryBackendType::Uffd:
      return machine::receive_snapshot(from.loaded, config, backend.backend_path, lost);
    case MemoryBackendType::Descriptors:
      return machine::map_descriptors(from, config, shell);
    case MemoryBackendType::File:
      break;
  }
  return machine::map_snapshot(from.loaded, config, backend.backend_path, shell);
}

}  // namespace

Result<machine::VmConfig> Controller::seal_layers() {
  return machine::seal_layers(
      config_, [this](std::string_view id) { return machine_->find<virtio::Block>(id); });
}

Result<ForkAnswer> Controller::fork(Fork) {
  constexpr std::string_view kFork = "PUT /fork";
  MOTE_CHECK(after_start(kFork));
  if (saves_) {
    return fail(ErrorKind::kState, "{}: a snapshot is being made; ask again when it is there",
                kFork);
  }
  const bool runs = state_ == InstanceState::Running;
  machine_->prepare_freeze();
  const auto began = std::chrono::steady_clock::now();
  if (runs) machine_->pause();
  auto frozen = [this]() -> Result<machine::Frozen> {
    MOTE_TRY(const machine::VmConfig saved, seal_layers());
    return machine_->freeze(saved);
  }();
  if (runs) {
    MOTE_CHECK_WITHIN(machine_->get_ready(), "{}: go on", kFork);
    machine_->let_go();
  }
  const auto paused = std::chrono::steady_clock::now() - began;
  if (!frozen) return std::unexpected(std::move(frozen.error()).within(std::string(kFork)));
  ForkAnswer answer{.paused_us = static_cast<std::uint64_t>(
                        std::chrono::duration_cast<std::chrono::microseconds>(paused).count()),
                    .copied_bytes = frozen->copied_bytes};
  auto made = machine::descriptors_of(*frozen, fmt::format("mote-vmm {}", options_.version));
  if (!made) return std::unexpected(std::move(made.error()).within(std::string(kFork)));
  answer.descriptors = std::move(*made);
  answer.descriptors_sent = static_cast<std::uint32_t>(answer.descriptors.size());
  return answer;
}

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
  const machine::SnapshotPaths paths{.state = body.snapshot_path, .memory = body.mem_file_path};
  // What was written lies in layers of its own from here on, also where the rest fails.
  auto places = machine::check_places(config_, paths);
  auto saved = places ? seal_layers() : std::unexpected(std::move(places.error()));
  if (!saved) return std::unexpected(std::move(saved.error()).within("PUT /snapshot/create"));
  saves_ = true;
  auto made = machine_->create_snapshot(
      *saved, full ? machine::SnapshotKind::kFull : machine::SnapshotKind::kDiff, paths,
      fmt::format("mote-vmm {}", options_.version), [this] { return serve_others(); });
  saves_ = false;
  for (EventLoop::Task& task : std::exchange(after_saving_, {})) loop_.post(std::move(task));
  if (!made) return std::unexpected(std::move(made.error()).within("PUT /snapshot/create"));
  return {};
}

Result<void> Controller::serve_others() {
  MOTE_CHECK(loop_.run_once(0));
  if (!loop_.stopping()) return {};
  return fail(ErrorKind::kState, "the microVM has ended, and nothing of a snapshot is left");
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
  // KVM makes the VM while the state is read. What is in its way is told when it is needed.
  std::optional<machine::HeadStart> head_start;
  if (!shell_ && backend.backend_type != MemoryBackendType::Descriptors) {
    if (auto begun = machine::HeadStart::make_with_vm()) head_start = std::move(*begun);
  }
  auto from = read_state(body, backend);
  if (!from) return std::unexpected(std::move(from.error()).within(std::string(kLoad)));
  const machine::SnapshotState& state = from->loaded.state;
  machine::VmConfig config = state.config;
  MOTE_CHECK_WITHIN(apply_overrides(body, config), "{}", kLoad);
  if (state.forked) MOTE_CHECK_WITHIN(check_apart(state.config, config), "{}", kLoad);
  // Data that the store does not take is told before there is a machine.
  metadata::Store data(metadata_.size_limit());
  if (body.mmds) MOTE_CHECK_WITHIN(data.put(metadata::json_text(*body.mmds)), "{}: mmds", kLoad);
  const SerialConfig serial = body.serial.value_or(serial_);
  MOTE_CHECK_WITHIN(check(serial), "{}: serial", kLoad);
  auto layers = machine::NewLayers::make(config);
  if (!layers) return std::unexpected(std::move(layers.error()).within(std::string(kLoad)));
  // From here on the log says what becomes of the load.
  if (body.logger) MOTE_CHECK_WITHIN(apply(*body.logger), "{}: logger", kLoad);
  auto source = map_memory(*from, config.machine, backend, options_.pages_lost, shell_.get());
  if (!source) return std::unexpected(std::move(source.error()).within(std::string(kLoad)));
  if (body.prefetch) {
    MOTE_CHECK_WITHIN(
        machine::prefetch(loop_, *source, backend.backend_path, from->loaded.header.id),
        "{}: prefetch", kLoad);
  }
  source->shell = std::move(shell_);
  source->head_start = std::move(head_start);
  if (body.clock_realtime) source->clock = arch::ClockStart::kNow;
  auto machine = options_.restore_machine(config, serial, std::move(*source), state.machine);
  if (!machine) return std::unexpected(std::move(machine.error()).within(std::string(kLoad)));
  // Before the guest can ask for it.
  if (body.mmds) std::swap(metadata_, data);
  if (body.resume_vm) {
    if (auto ready = (*machine)->get_ready(); !ready) {
      if (body.mmds) std::swap(metadata_, data);
      return std::unexpected(std::move(ready.error()).within(fmt::format("{}: resume_vm", kLoad)));
    }
  }
  layers->keep();
  config_ = std::move(config);
  serial_ = serial;
  adopt_machine(std::move(*machine),
                body.resume_vm ? InstanceState::Running : InstanceState::Paused);
  goes_on_ = body.resume_vm;
  return {};
}

}  // namespace mote::api::firecracker
