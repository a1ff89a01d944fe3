#include "api/firecracker/controller.h"

#include <utility>

#include "base/json.h"
#include "base/log.h"

namespace mote::api::firecracker {

// What holds at any time, and the start. What may be asked before it is in before_start.cc, what
// after it in after_start.cc.

Controller::Controller(EventLoop& loop, metadata::Store& metadata, ControllerOptions options)
    : loop_(loop), metadata_(metadata), options_(std::move(options)), metrics_(options_.id) {}

Result<void> Controller::before_start(std::string_view what) const {
  if (!machine_) return {};
  return fail(ErrorKind::kState, "{} is for a microVM that was not started, and this one was",
              what);
}

Result<void> Controller::after_start(std::string_view what) const {
  if (machine_) return {};
  return fail(ErrorKind::kState, "{} is for a microVM that was started, and this one was not",
              what);
}

Result<void> Controller::adopt(machine::VmConfig candidate) {
  MOTE_CHECK(machine::check_so_far(candidate));
  config_ = std::move(candidate);
  configured_ = true;
  return {};
}

void Controller::adopt_machine(std::unique_ptr<LiveMachine> machine, InstanceState state) {
  machine_ = std::move(machine);
  state_ = state;
  // The machine has what it needs of them.
  claims_.clear();
  shell_.reset();
  // That the host has no timer left is no reason to take the machine down again.
  const auto counted = metrics_.start(
      loop_, [counting = machine_.get()](machine::MachineCounts& into) { counting->count(into); });
  if (!counted)
    log::error("metrics are written when they are asked for: {}", counted.error().text());
}

Result<void> Controller::start() {
  MOTE_CHECK(before_start("InstanceStart"));
  if (config_.boot_source.kernel_image_path.empty()) {
    return fail(ErrorKind::kState,
                "InstanceStart: there is no kernel yet; name one with PUT /boot-source");
  }
  MOTE_CHECK_WITHIN(machine::check(config_), "InstanceStart");
  auto machine = options_.make_machine(claims_.resolve(config_), serial_);
  if (!machine) return std::unexpected(std::move(machine.error()).within("InstanceStart"));
  MOTE_CHECK_WITHIN((*machine)->get_ready(), "InstanceStart");
  adopt_machine(std::move(*machine), InstanceState::Running);
  goes_on_ = true;
  return {};
}

void Controller::go_on() {
  if (std::exchange(goes_on_, false)) machine_->let_go();
}

Result<InstanceInfo> Controller::instance() const {
  InstanceInfo info;
  info.id = options_.id;
  info.state = state_;
  info.app_name = options_.app_name;
  info.mote_version = options_.version;
  return info;
}

Result<VersionInfo> Controller::version() const {
  VersionInfo info;
  info.mote_version = options_.version;
  return info;
}

Result<machine::MachineConfig> Controller::machine_config() const { return config_.machine; }

Result<FullConfig> Controller::full_config() const {
  FullConfig full;
  full.balloon = config_.balloon;
  full.drives = config_.drives;
  full.boot_source = config_.boot_source;
  full.machine = config_.machine;
  full.mmds_config = config_.mmds_config;
  full.network_interfaces = config_.network_interfaces;
  full.vsock = config_.vsock;
  full.entropy = config_.entropy;
  full.pmem = config_.pmem;
  full.memory_hotplug = config_.memory_hotplug;
  full.console = config_.console;
  return full;
}

Result<virtio::BalloonConfig> Controller::balloon() {
  if (config_.balloon) return *config_.balloon;
  return fail(ErrorKind::kNotFound, "there is no balloon; make one with PUT /balloon");
}

Result<void> Controller::act(Action action) {
  switch (action.action_type) {
    case ActionType::InstanceStart:
      return start();
    case ActionType::SendCtrlAltDel:
      return press_ctrl_alt_del();
    case ActionType::FlushMetrics:
      break;
  }
  MOTE_CHECK(after_start("FlushMetrics"));
  metrics_.flush();
  return {};
}

Result<void> Controller::press_ctrl_alt_del() {
  MOTE_CHECK(after_start("SendCtrlAltDel"));
  return machine_->press_ctrl_alt_del();
}

Result<void> Controller::put_mmds(JsonText data) { return metadata_.put(data.text); }
Result<void> Controller::patch_mmds(JsonText data) { return metadata_.patch(data.text); }
Result<JsonText> Controller::metrics_report() const { return JsonText{metrics_.report()}; }
Result<JsonText> Controller::mmds() const { return JsonText{metadata_.text()}; }

// What is not built
// ------------------------------------------------------------------------------------------------

Result<void> Controller::refuse_removal(std::string_view what, std::string_view id) const {
  return fail(ErrorKind::kUnsupported,
              "{} {} cannot be removed: that takes the PCI transport, which is not built yet", what,
              json::quote(id));
}

Result<void> Controller::delete_drive(std::string id) { return refuse_removal("drive", id); }
Result<void> Controller::delete_interface(std::string id) {
  return refuse_removal("interface", id);
}
Result<void> Controller::delete_pmem(std::string id) { return refuse_removal("pmem", id); }

}  // namespace mote::api::firecracker
