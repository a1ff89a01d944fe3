// What a user says of a microVM: its kernel, its processors and memory, its devices. Plain structs,
// described for JSON; check() says whether the values make sense before anything is opened.
#pragma once

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json_rules.h"
#include "base/result.h"
#include "machine/cpu_config.h"
#include "metadata/config.h"
#include "virtio/balloon/config.h"
#include "virtio/block/config.h"
#include "virtio/console/config.h"
#include "virtio/mem/config.h"
#include "virtio/net/config.h"
#include "virtio/pmem/config.h"
#include "virtio/rng/config.h"
#include "virtio/vsock/config.h"

namespace mote::machine {

inline constexpr std::uint32_t kMaxVcpus = 32;
// Virtio devices: as many as have an interrupt line of their own.
inline constexpr std::size_t kMaxDevices = 17;
// A process of x86-64 has 2^47 bytes of addresses, and some hold its code and stack.
inline constexpr std::uint64_t kMaxMemoryMib = (std::uint64_t{1} << 27) - 1;
// What addresses a shell sets aside for memory: 8 TiB.
inline constexpr std::uint64_t kMaxShellMib = std::uint64_t{8} << 20;

// The longest command line, with a NUL behind it: 2 KiB.
inline constexpr std::size_t kMaxBootArgs = 2047;

// How an ELF kernel is entered: as its notes say, at its PVH entry, or at the 64-bit entry of the
// Linux boot protocol.
enum class BootProtocol { Auto, Pvh, Linux64 };
BOOST_DESCRIBE_ENUM(BootProtocol, Auto, Pvh, Linux64)
constexpr auto json_names(BootProtocol) {
  return std::array{json::name(BootProtocol::Auto, "auto"), json::name(BootProtocol::Pvh, "pvh"),
                    json::name(BootProtocol::Linux64, "linux64")};
}

struct BootSource {
  std::string kernel_image_path;  // vmlinux or bzImage
  std::optional<std::string> initrd_path = {};
  std::optional<std::string> boot_args = {};  // absent: the default command line
  BootProtocol boot_protocol = BootProtocol::Auto;
};
BOOST_DESCRIBE_STRUCT(BootSource, (), (kernel_image_path, initrd_path, boot_args, boot_protocol))
constexpr auto json_rules(const BootSource*) { return std::array{json::sparse("boot_protocol")}; }

// Pages behind guest memory: the host's usual ones, hugetlbfs pages of 2 MiB, or transparent huge
// pages where the host finds some.
enum class HugePages { None, TwoMib, Transparent };
BOOST_DESCRIBE_ENUM(HugePages, None, TwoMib, Transparent)
constexpr auto json_names(HugePages) { return std::array{json::name(HugePages::TwoMib, "2M")}; }

// Masks of what a guest sees of the processor. V1N1 is for an Arm processor.
enum class CpuTemplate { None, C3, T2, T2S, T2CL, T2A, V1N1 };
BOOST_DESCRIBE_ENUM(CpuTemplate, None, C3, T2, T2S, T2CL, T2A, V1N1)

struct MachineConfig {
  std::uint32_t vcpu_count = 1;      // 1 to kMaxVcpus
  std::uint64_t mem_size_mib = 128;  // 1 to kMaxMemoryMib
  bool smt = false;                  // two vCPUs are threads of one core
  bool track_dirty_pages = false;
  HugePages huge_pages = HugePages::None;
  std::optional<CpuTemplate> cpu_template = {};
  bool forkable = false;  // mote's own: memory can be shared with others later (PUT /fork)
};
BOOST_DESCRIBE_STRUCT(MachineConfig, (),
                      (vcpu_count, mem_size_mib, smt, track_dirty_pages, huge_pages, cpu_template,
                       forkable))
constexpr auto json_rules(const MachineConfig*) {
  return std::array{json::defaulted("smt"), json::defaulted("track_dirty_pages"),
                    json::defaulted("huge_pages"), json::sparse("cpu_template"),
                    json::sparse("forkable")};
}

// Each member is a section of the configuration. Those of devices hold the Config of a kind in
// virtio/kinds.h: lists in the guest's order (but the root device comes first), or an optional
// where there is one such device at most.
struct VmConfig {
  BootSource boot_source;
  std::vector<virtio::BlockConfig> drives;
  MachineConfig machine;
  std::vector<virtio::NetConfig> network_interfaces = {};
  std::optional<virtio::VsockConfig> vsock = {};
  std::optional<virtio::RngConfig> entropy = {};
  std::optional<virtio::BalloonConfig> balloon = {};
  std::optional<virtio::ConsoleConfig> console = {};
  std::vector<virtio::PmemConfig> pmem = {};
  std::optional<virtio::MemConfig> memory_hotplug = {};
  std::optional<metadata::MmdsConfig> mmds_config = {};
  // Counts in place of machine.cpu_template. No member of the description: a file may say it by the
  // path of another one, and Firecracker's answers never show it.
  std::optional<CpuConfig> cpu_config = {};
};
BOOST_DESCRIBE_STRUCT(VmConfig, (),
                      (boot_source, drives, machine, network_interfaces, vsock, entropy, balloon,
                       console, pmem, memory_hotplug, mmds_config))
constexpr auto json_rules(const VmConfig*) {
  return std::array{json::named("boot_source", "boot-source"),
                    json::nullable("network_interfaces", "network-interfaces"),
                    json::nullable("machine", "machine-config"),
                    json::nullable("pmem"),
                    json::named("memory_hotplug", "memory-hotplug"),
                    json::named("mmds_config", "mmds-config")};
}

// Whether another process is to have guest memory: a vhost-user backend.
bool needs_shared_memory(const VmConfig& config);

// The paths of what it is made of that files hold: kernel, initrd, drives and what they lie on,
// persistent memories.
std::vector<const std::string*> files_of(const VmConfig& config);

// Each: whether the values make sense and are built, without a look at the host. The error names
// the field, what it is and what it must be.
Result<void> check(const BootSource& config);
Result<void> check(const MachineConfig& config);
// Of a configuration that is not whole yet, what must hold already: each section that is there, and
// what must hold between them.
Result<void> check_so_far(const VmConfig& config);
// Also each device, and what must hold between them: see check_devices().
Result<void> check(const VmConfig& config);

}  // namespace mote::machine
