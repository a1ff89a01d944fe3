// The configuration file: any text is refused with a sentence, or is a checked configuration.
#include "api/firecracker/config_file.h"

#include "fuzz/target.h"

namespace mote::fuzz {

void run(std::span<const std::uint8_t> bytes) {
  const auto file =
      api::firecracker::parse_config({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!file) return require(!file.error().text().empty(), "an error says what is wrong");
  require(machine::check(file->vm).has_value(), "what was accepted is checked");
}

std::vector<std::string> seeds() {
  return {
      R"({"boot-source": {"kernel_image_path": "k"}, "drives": []})",
      R"({"boot-source": {"kernel_image_path": "vmlinux", "initrd_path": "i", "boot_args": "quiet",
            "boot_protocol": "linux64"},
            "machine-config": {"vcpu_count": 2, "mem_size_mib": 256, "smt": true,
            "track_dirty_pages": true, "huge_pages": "2M", "cpu_template": "None"},
            "drives": [{"drive_id": "a", "path_on_host": "/b", "is_root_device": true,
            "partuuid": "1-2", "is_read_only": true, "cache_type": "Writeback", "io_engine": "Sync",
            "rate_limiter": {"bandwidth": {"size": 1, "one_time_burst": 2, "refill_time": 3},
            "ops": {"size": 1, "refill_time": 3}}}],
            "logger": {"log_path": "l", "level": "Debug", "show_level": true,
            "show_log_origin": true, "module": "m"}})",
      R"({"boot-source": {"kernel_image_path": "k"}, "drives": [],
            "network-interfaces": [{"iface_id": "e", "host_dev_name": "tap0",
            "guest_mac": "06:00:00:00:00:01"}], "vsock": {"guest_cid": 3, "uds_path": "v"},
            "entropy": {}, "balloon": {"amount_mib": 1, "deflate_on_oom": true,
            "stats_polling_interval_s": 1}, "pmem": [{"id": "p", "path_on_host": "f",
            "root_device": false, "read_only": true}],
            "memory-hotplug": {"total_size_mib": 1024, "block_size_mib": 2, "slot_size_mib": 128},
            "mmds-config": null, "metrics": null, "cpu-config": {}})"};
}

}  // namespace mote::fuzz
