#include "machine/config.h"

#include <algorithm>
#include <string_view>

#include "base/json.h"
#include "machine/device_list.h"

namespace mote::machine {
namespace {

// A NUL would end the text early for the host or the guest, which then sees another one.
Result<void> check_text(std::string_view field, const std::string& text) {
  if (text.find('\0') == std::string::npos) return {};
  return fail(ErrorKind::kInvalid, "{} is {}; it must be without NUL characters", field,
              json::quote(text));
}

Result<void> check_path(std::string_view field, const std::string& path) {
  if (path.empty()) {
    return fail(ErrorKind::kInvalid, "{} is empty; it must be the path of a file", field);
  }
  return check_text(field, path);
}

Result<void> check_processors(const MachineConfig& config) {
  if (config.vcpu_count < 1 || config.vcpu_count > kMaxVcpus) {
    return fail(ErrorKind::kInvalid, "vcpu_count is {}; it must be from 1 to {}", config.vcpu_count,
                kMaxVcpus);
  }
  if (config.smt && config.vcpu_count != 1 && config.vcpu_count % 2 != 0) {
    return fail(ErrorKind::kInvalid,
                "vcpu_count is {}; with smt, where two vCPUs share a core, it must be 1 or even",
                config.vcpu_count);
  }
  if (config.cpu_template == CpuTemplate::V1N1) {
    return fail(ErrorKind::kInvalid,
                "cpu_template is V1N1, which is for Arm processors; on x86-64 it must be None, C3, "
                "T2, T2S, T2CL or T2A");
  }
  return {};
}

Result<void> check_memory(const MachineConfig& config) {
  const std::uint64_t size = config.mem_size_mib;
  if (size < 1 || size > kMaxMemoryMib) {
    return fail(ErrorKind::kInvalid,
                "mem_size_mib is {}; it must be from 1 to {}, the most that a process can map",
                size, kMaxMemoryMib);
  }
  if (config.huge_pages != HugePages::None && size % 2 != 0) {
    return fail(ErrorKind::kInvalid,
                "mem_size_mib is {}; with huge_pages {} it must be even, as those pages have 2 MiB",
                size, config.huge_pages == HugePages::TwoMib ? "2M" : "Transparent");
  }
  if (config.huge_pages == HugePages::TwoMib && config.forkable) {
    return fail(ErrorKind::kUnsupported,
                "forkable does not go with huge_pages 2M: pages of hugetlbfs are not shared with "
                "another process");
  }
  return {};
}

Result<void> check_balloon(const virtio::BalloonConfig& config, std::uint64_t mem_size_mib) {
  if (config.amount_mib <= mem_size_mib) return {};
  return fail(ErrorKind::kInvalid,
              "balloon: amount_mib is {}; it must be at most {}, the guest's memory",
              config.amount_mib, mem_size_mib);
}

Result<void> check_metadata(const metadata::MmdsConfig& config,
                            const std::vector<virtio::NetConfig>& interfaces) {
  std::vector<std::string_view> ids;
  for (const virtio::NetConfig& interface : interfaces) ids.push_back(interface.iface_id);
  MOTE_CHECK_WITHIN(check(config), "mmds-config");
  MOTE_CHECK_WITHIN(check_interfaces(config, ids), "mmds-config");
  return {};
}

// A queue without a processor of its own is of no use to a guest.
Result<void> check_queues(const VmConfig& config) {
  for (const virtio::BlockConfig& drive : config.drives) {
    if (drive.num_queues <= config.machine.vcpu_count) continue;
    return fail(ErrorKind::kInvalid,
                "drive '{}': num_queues is {}, and the machine has {} vCPUs; one each is the most",
                drive.drive_id, drive.num_queues, config.machine.vcpu_count);
  }
  return {};
}

}  // namespace

Result<void> check(const BootSource& config) {
  MOTE_CHECK(check_path("kernel_image_path", config.kernel_image_path));
  if (config.initrd_path) MOTE_CHECK(check_path("initrd_path", *config.initrd_path));
  if (!config.boot_args) return {};
  if (config.boot_args->size() > kMaxBootArgs) {
    return fail(ErrorKind::kInvalid, "boot_args has {} bytes; a kernel's command line holds {}",
                config.boot_args->size(), kMaxBootArgs);
  }
  MOTE_CHECK(check_text("boot_args", *config.boot_args));
  return {};
}

Result<void> check(const MachineConfig& config) {
  MOTE_CHECK(check_processors(config));
  return check_memory(config);
}

bool needs_shared_memory(const VmConfig& config) {
  return std::ranges::any_of(config.drives,
                             [](const auto& drive) { return drive.socket.has_value(); });
}

Result<void> check_so_far(const VmConfig& config) {
  MOTE_CHECK_WITHIN(check(config.machine), "machine-config");
  if (config.cpu_config) MOTE_CHECK_WITHIN(check(*config.cpu_config), "cpu-config");
  if (config.balloon) MOTE_CHECK(check_balloon(*config.balloon, config.machine.mem_size_mib));
  MOTE_CHECK(check_devices(config));
  if (!config.mmds_config) return {};
  return check_metadata(*config.mmds_config, config.network_interfaces);
}

std::vector<const std::string*> files_of(const VmConfig& config) {
  std::vector<const std::string*> files{&config.boot_source.kernel_image_path};
  const auto add = [&files](const std::string& path) { files.push_back(&path); };
  if (config.boot_source.initrd_path) add(*config.boot_source.initrd_path);
  for (const virtio::BlockConfig& drive : config.drives) {
    if (drive.path_on_host) add(*drive.path_on_host);
    for (const std::string& layer : drive.layers) add(layer);
  }
  for (const virtio::PmemConfig& pmem : config.pmem) add(pmem.path_on_host);
  return files;
}

Result<void> check(const VmConfig& config) {
  MOTE_CHECK_WITHIN(check(config.boot_source), "boot-source");
  MOTE_CHECK(check_so_far(config));
  if (needs_shared_memory(config) && config.machine.huge_pages == HugePages::TwoMib) {
    return fail(
        ErrorKind::kUnsupported,
        "machine-config: huge_pages 2M does not go with a drive that has a socket: pages of "
        "hugetlbfs are not shared with another process");
  }
  if (needs_shared_memory(config) && config.memory_hotplug) {
    return fail(ErrorKind::kUnsupported,
                "memory-hotplug does not go with a drive that has a socket: a vhost-user backend "
                "has the memory of the start alone");
  }
  if (config.machine.forkable && config.memory_hotplug) {
    return fail(ErrorKind::kUnsupported,
                "machine-config: forkable does not go with memory-hotplug, as what is plugged in "
                "later is not shared");
  }
  MOTE_CHECK(check_device_count(config));
  return check_queues(config);
}

}  // namespace mote::machine
