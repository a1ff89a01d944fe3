// The bodies of Firecracker's API that are no section of a configuration, and its answers. Plain
// structs, described for JSON.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/json_rules.h"
#include "machine/config.h"
#include "metadata/config.h"

namespace mote::api::firecracker {

// The version of Firecracker whose behaviour this is: clients choose by it what they ask for.
inline constexpr const char* kFirecrackerVersion = "1.17.0";

// Bodies
// ------------------------------------------------------------------------------------------------

enum class ActionType { FlushMetrics, InstanceStart, SendCtrlAltDel };
BOOST_DESCRIBE_ENUM(ActionType, FlushMetrics, InstanceStart, SendCtrlAltDel)

struct Action {
  ActionType action_type = ActionType::FlushMetrics;
};
BOOST_DESCRIBE_STRUCT(Action, (), (action_type))

enum class WantedState { Paused, Resumed };
BOOST_DESCRIBE_ENUM(WantedState, Paused, Resumed)

struct VmUpdate {
  WantedState state = WantedState::Paused;
};
BOOST_DESCRIBE_STRUCT(VmUpdate, (), (state))

// Of a machine-config, what is to be another; something must be.
struct MachineUpdate {
  std::optional<std::uint32_t> vcpu_count = {};
  std::optional<std::uint64_t> mem_size_mib = {};
  std::optional<bool> smt = {};
  std::optional<bool> track_dirty_pages = {};
  std::optional<machine::HugePages> huge_pages = {};
  std::optional<machine::CpuTemplate> cpu_template = {};
  std::optional<bool> forkable = {};
};
BOOST_DESCRIBE_STRUCT(MachineUpdate, (),
                      (vcpu_count, mem_size_mib, smt, track_dirty_pages, huge_pages, cpu_template,
                       forkable))

struct DriveUpdate {
  std::string drive_id;
  std::optional<std::string> path_on_host = {};  // the same again: its size is looked at anew
  std::optional<virtio::RateLimiterConfig> rate_limiter = {};
};
BOOST_DESCRIBE_STRUCT(DriveUpdate, (), (drive_id, path_on_host, rate_limiter))

struct InterfaceUpdate {
  std::string iface_id;
  std::optional<virtio::RateLimiterConfig> rx_rate_limiter = {};
  std::optional<virtio::RateLimiterConfig> tx_rate_limiter = {};
};
BOOST_DESCRIBE_STRUCT(InterfaceUpdate, (), (iface_id, rx_rate_limiter, tx_rate_limiter))

struct PmemUpdate {
  std::string id;
  std::optional<virtio::RateLimiterConfig> rate_limiter = {};
};
BOOST_DESCRIBE_STRUCT(PmemUpdate, (), (id, rate_limiter))

struct BalloonUpdate {
  std::uint32_t amount_mib = 0;
};
BOOST_DESCRIBE_STRUCT(BalloonUpdate, (), (amount_mib))

struct BalloonStatisticsUpdate {
  std::uint16_t stats_polling_interval_s = 0;  // seconds
};
BOOST_DESCRIBE_STRUCT(BalloonStatisticsUpdate, (), (stats_polling_interval_s))

struct HintingStart {
  bool acknowledge_on_stop = true;
};
BOOST_DESCRIBE_STRUCT(HintingStart, (), (acknowledge_on_stop))
constexpr auto json_rules(const HintingStart*) {
  return std::array{json::defaulted("acknowledge_on_stop")};
}

struct MemoryUpdate {
  std::uint32_t requested_size_mib = 0;
};
BOOST_DESCRIBE_STRUCT(MemoryUpdate, (), (requested_size_mib))

// JSON as it is written, of any shape: what the metadata service gives out.
struct JsonText {
  std::string text;
};

// Answers
// ------------------------------------------------------------------------------------------------

enum class InstanceState { NotStarted, Running, Paused };
BOOST_DESCRIBE_ENUM(InstanceState, NotStarted, Running, Paused)
constexpr auto json_names(InstanceState) {
  return std::array{json::name(InstanceState::NotStarted, "Not started")};
}

struct InstanceInfo {
  std::string id;
  InstanceState state = InstanceState::NotStarted;
  std::string vmm_version = kFirecrackerVersion;
  std::string app_name;
  std::string mote_version;
};
BOOST_DESCRIBE_STRUCT(InstanceInfo, (), (id, state, vmm_version, app_name, mote_version))

struct VersionInfo {
  std::string firecracker_version = kFirecrackerVersion;
  std::string mote_version;
};
BOOST_DESCRIBE_STRUCT(VersionInfo, (), (firecracker_version, mote_version))

// A configuration in the order in which Firecracker tells it; what it never tells is null. Our own
// sections are behind.
struct FullConfig {
  std::optional<virtio::BalloonConfig> balloon = {};
  std::vector<virtio::BlockConfig> drives;
  machine::BootSource boot_source;
  std::optional<json::Value> cpu_config = {};
  std::optional<json::Value> logger = {};
  machine::MachineConfig machine;
  std::optional<json::Value> metrics = {};
  std::optional<metadata::MmdsConfig> mmds_config = {};
  std::vector<virtio::NetConfig> network_interfaces;
  std::optional<virtio::VsockConfig> vsock = {};
  std::optional<virtio::RngConfig> entropy = {};
  std::vector<virtio::PmemConfig> pmem;
  std::optional<virtio::MemConfig> memory_hotplug = {};
  std::optional<virtio::ConsoleConfig> console = {};
};
BOOST_DESCRIBE_STRUCT(FullConfig, (),
                      (balloon, drives, boot_source, cpu_config, logger, machine, metrics,
                       mmds_config, network_interfaces, vsock, entropy, pmem, memory_hotplug,
                       console))
constexpr auto json_rules(const FullConfig*) {
  return std::array{json::named("boot_source", "boot-source"),
                    json::named("cpu_config", "cpu-config"),
                    json::named("machine", "machine-config"),
                    json::named("mmds_config", "mmds-config"),
                    json::named("network_interfaces", "network-interfaces"),
                    json::named("memory_hotplug", "memory-hotplug"),
                    json::sparse("console")};
}

}  // namespace mote::api::firecracker
