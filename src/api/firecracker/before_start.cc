// What a client may ask before the start: a configuration, section by section.
#include <algorithm>
#include <utility>

#include "api/firecracker/controller.h"

namespace mote::api::firecracker {
namespace {

// Puts `config` into `list`: in the place of one with its id, else behind the others; but the root
// device comes first, as it does in the guest.
template <typename Config>
void put(std::vector<Config>& list, std::string Config::* id, Config config, bool root = false) {
  const auto known =
      std::ranges::find(list, config.*id, [id](const Config& one) { return one.*id; });
  const bool there = known != list.end();
  if (there && (!root || known == list.begin())) {
    *known = std::move(config);
    return;
  }
  if (there) list.erase(known);
  list.insert(root ? list.begin() : list.end(), std::move(config));
}

// A limit of nothing is none, and a burst of nothing neither: so Firecracker tells them.
bool limits(const std::optional<virtio::TokenBucketConfig>& bucket) {
  return bucket && bucket->size != 0 && bucket->refill_time != 0;
}

void settle(std::optional<virtio::RateLimiterConfig>& limiter) {
  if (!limiter) return;
  if (!limits(limiter->bandwidth)) limiter->bandwidth.reset();
  if (!limits(limiter->ops)) limiter->ops.reset();
  for (auto* bucket : {&limiter->bandwidth, &limiter->ops}) {
    if (*bucket && (*bucket)->one_time_burst == 0) (*bucket)->one_time_burst.reset();
  }
  if (!limiter->bandwidth && !limiter->ops) limiter.reset();
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The values that count where none is given.
void settle(virtio::BlockConfig& config) {
  if (!config.cache_type) config.cache_type = virtio::CacheType::Unsafe;
  settle(config.rate_limiter);
  if (config.socket) return;  // the rest is the backend's to say
  if (!config.is_read_only) config.is_read_only = false;
  if (!config.io_engine) config.io_engine = virtio::IoEngine::Sync;
}

void settle(virtio::NetConfig& config) {
  settle(config.rx_rate_limiter);
  settle(config.tx_rate_limiter);
  if (config.guest_mac) std::ranges::transform(*config.guest_mac, config.guest_mac->begin(), lower);
}

}  // namespace

Result<void> Controller::load(ConfigFile file) {
  MOTE_CHECK(before_start("a configuration file"));
  if (file.logger) MOTE_CHECK_WITHIN(apply(*file.logger), "logger");
  if (file.metrics) MOTE_CHECK_WITHIN(metrics_.open(*file.metrics), "metrics");
  for (virtio::BlockConfig& drive : file.vm.drives) settle(drive);
  std::ranges::stable_partition(file.vm.drives, &virtio::BlockConfig::is_root_device);
  for (virtio::NetConfig& interface : file.vm.network_interfaces) settle(interface);
  if (file.vm.entropy) settle(file.vm.entropy->rate_limiter);
  config_ = std::move(file.vm);
  configured_ = true;
  return {};
}

Result<void> Controller::put_boot_source(machine::BootSource config) {
  MOTE_CHECK(before_start("PUT /boot-source"));
  MOTE_CHECK_WITHIN(machine::check(config), "boot-source");
  MOTE_CHECK_WITHIN(machine::try_out(config), "boot-source");
  config_.boot_source = std::move(config);
  configured_ = true;
  return {};
}

Result<void> Controller::put_machine_config(machine::MachineConfig config) {
  MOTE_CHECK(before_start("PUT /machine-config"));
  machine::VmConfig candidate = config_;
  // A template of the processor's is the last that was put, whichever way, and stays when none is.
  if (config.cpu_template) {
    candidate.cpu_config.reset();
  } else {
    config.cpu_template = candidate.machine.cpu_template;
  }
  if (config.cpu_template == machine::CpuTemplate::None) config.cpu_template.reset();
  candidate.machine = config;
  return adopt(std::move(candidate));
}

Result<void> Controller::patch_machine_config(MachineUpdate update) {
  MOTE_CHECK(before_start("PATCH /machine-config"));
  machine::VmConfig candidate = config_;
  machine::MachineConfig& machine = candidate.machine;
  bool any = false;
  const auto change = [&any](const auto& wanted, auto& member) {
    if (!wanted) return;
    any = true;
    member = *wanted;
  };
  change(update.vcpu_count, machine.vcpu_count);
  change(update.mem_size_mib, machine.mem_size_mib);
  change(update.smt, machine.smt);
  change(update.track_dirty_pages, machine.track_dirty_pages);
  change(update.huge_pages, machine.huge_pages);
  change(update.cpu_template, machine.cpu_template);
  change(update.forkable, machine.forkable);
  if (!any) {
    return fail(ErrorKind::kInvalid,
                "PATCH /machine-config: nothing is to change; name a field and its new value");
  }
  if (update.cpu_template) candidate.cpu_config.reset();
  if (machine.cpu_template == machine::CpuTemplate::None) machine.cpu_template.reset();
  return adopt(std::move(candidate));
}

Result<void> Controller::put_cpu_config(machine::CpuConfig config) {
  MOTE_CHECK(before_start("PUT /cpu-config"));
  const bool was_configured = configured_;
  const bool asks = !config.kvm_capabilities.empty() || !config.cpuid_modifiers.empty() ||
                    !config.msr_modifiers.empty();
  machine::VmConfig candidate = config_;
  candidate.cpu_config = std::move(config);
  candidate.machine.cpu_template.reset();
  MOTE_CHECK(adopt(std::move(candidate)));
  // One that asks for nothing may come before a snapshot is loaded.
  configured_ = was_configured || asks;
  return {};
}

Result<void> Controller::put_drive(virtio::BlockConfig config) {
  MOTE_CHECK(before_start("PUT /drives"));
  machine::VmConfig candidate = config_;
  settle(config);
  const virtio::BlockConfig wanted = config;
  put(candidate.drives, &virtio::BlockConfig::drive_id, std::move(config), wanted.is_root_device);
  MOTE_CHECK(machine::check_so_far(candidate));
  MOTE_CHECK_WITHIN(machine::try_out(wanted, loop_), "drives");
  return adopt(std::move(candidate));
}

Result<void> Controller::put_interface(virtio::NetConfig config) {
  MOTE_CHECK(before_start("PUT /network-interfaces"));
  machine::VmConfig candidate = config_;
  settle(config);
  put(candidate.network_interfaces, &virtio::NetConfig::iface_id, config);
  MOTE_CHECK(machine::check_so_far(candidate));
  MOTE_TRY(const std::optional<std::string> tap, claims_.take(config));
  if (tap) {
    // The name that the host chose, where it did.
    config.host_dev_name = *tap;
    put(candidate.network_interfaces, &virtio::NetConfig::iface_id, std::move(config));
  }
  config_ = std::move(candidate);
  configured_ = true;
  return {};
}

Result<void> Controller::put_pmem(virtio::PmemConfig config) {
  MOTE_CHECK(before_start("PUT /pmem"));
  machine::VmConfig candidate = config_;
  const bool root = config.root_device;
  put(candidate.pmem, &virtio::PmemConfig::id, std::move(config), root);
  return adopt(std::move(candidate));
}

Result<void> Controller::put_vsock(virtio::VsockConfig config) {
  MOTE_CHECK(before_start("PUT /vsock"));
  // It means nothing, and answers never have it.
  config.vsock_id.reset();
  MOTE_CHECK_WITHIN(check(config), "vsock");
  MOTE_CHECK_WITHIN(machine::try_out(config), "vsock");
  machine::VmConfig candidate = config_;
  candidate.vsock = std::move(config);
  return adopt(std::move(candidate));
}

Result<void> Controller::put_entropy(virtio::RngConfig config) {
  MOTE_CHECK(before_start("PUT /entropy"));
  settle(config.rate_limiter);
  machine::VmConfig candidate = config_;
  candidate.entropy = std::move(config);
  return adopt(std::move(candidate));
}

Result<void> Controller::put_balloon(virtio::BalloonConfig config) {
  MOTE_CHECK(before_start("PUT /balloon"));
  machine::VmConfig candidate = config_;
  candidate.balloon = config;
  return adopt(std::move(candidate));
}

Result<void> Controller::put_memory_hotplug(virtio::MemConfig config) {
  MOTE_CHECK(before_start("PUT /hotplug/memory"));
  machine::VmConfig candidate = config_;
  candidate.memory_hotplug = config;
  return adopt(std::move(candidate));
}

Result<void> Controller::put_console(virtio::ConsoleConfig config) {
  MOTE_CHECK(before_start("PUT /console"));
  machine::VmConfig candidate = config_;
  candidate.console = std::move(config);
  return adopt(std::move(candidate));
}

Result<void> Controller::put_serial(SerialConfig config) {
  MOTE_CHECK(before_start("PUT /serial"));
  MOTE_CHECK_WITHIN(check(config), "serial");
  serial_ = std::move(config);
  return {};
}

Result<void> Controller::put_logger(LoggerConfig config) {
  MOTE_CHECK(before_start("PUT /logger"));
  return apply(config);
}

Result<void> Controller::put_metrics(MetricsConfig config) {
  MOTE_CHECK(before_start("PUT /metrics"));
  return metrics_.open(config);
}

Result<void> Controller::put_mmds_config(metadata::MmdsConfig config) {
  MOTE_CHECK(before_start("PUT /mmds/config"));
  // One that is named twice counts once.
  std::vector<std::string> interfaces;
  for (std::string& id : config.network_interfaces) {
    if (std::ranges::find(interfaces, id) == interfaces.end()) interfaces.push_back(std::move(id));
  }
  config.network_interfaces = std::move(interfaces);
  machine::VmConfig candidate = config_;
  candidate.mmds_config = std::move(config);
  return adopt(std::move(candidate));
}

}  // namespace mote::api::firecracker
