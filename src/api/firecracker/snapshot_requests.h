// The bodies of PUT /snapshot/create and PUT /snapshot/load.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/firecracker/logger.h"
#include "api/firecracker/serial.h"
#include "base/json.h"
#include "base/json_rules.h"
#include "base/unique_fd.h"
#include "machine/config.h"

namespace mote::api::firecracker {

enum class SnapshotType { Full, Diff };
BOOST_DESCRIBE_ENUM(SnapshotType, Full, Diff)

struct SnapshotCreate {
  std::string snapshot_path;  // of the state
  std::string mem_file_path;
  SnapshotType snapshot_type = SnapshotType::Full;
};
BOOST_DESCRIBE_STRUCT(SnapshotCreate, (), (snapshot_path, mem_file_path, snapshot_type))
constexpr auto json_rules(const SnapshotCreate*) {
  return std::array{json::defaulted("snapshot_type")};
}

// Descriptors is mote's own.
enum class MemoryBackendType { File, Uffd, Descriptors };
BOOST_DESCRIBE_ENUM(MemoryBackendType, File, Uffd, Descriptors)

// Where guest memory comes from: a file, a handler of page faults at a Unix socket, or descriptors
// that come beside the request, the state's before those of memory.
struct MemoryBackend {
  std::string backend_path = {};  // not of Descriptors
  MemoryBackendType backend_type = MemoryBackendType::File;
};
BOOST_DESCRIBE_STRUCT(MemoryBackend, (), (backend_path, backend_type))
constexpr auto json_rules(const MemoryBackend*) { return std::array{json::sparse("backend_path")}; }

// Another tap for an interface of the snapshot, and another MAC address (mote's own).
struct NetworkOverride {
  std::string iface_id;
  std::string host_dev_name;
  std::optional<std::string> guest_mac = {};
};
BOOST_DESCRIBE_STRUCT(NetworkOverride, (), (iface_id, host_dev_name, guest_mac))

struct VsockOverride {
  std::string uds_path;
  std::optional<std::uint32_t> guest_cid = {};  // mote's own
};
BOOST_DESCRIBE_STRUCT(VsockOverride, (), (uds_path, guest_cid))

// Mote's own: another file for a drive, a persistent memory, a port of the console.
struct DriveOverride {
  std::string drive_id;
  std::string path_on_host;
  // Of format overlay: other paths of all that the clone's layer lies on, lowest first. Absent: as
  // the snapshot has them.
  std::optional<std::vector<std::string>> layers = {};
};
BOOST_DESCRIBE_STRUCT(DriveOverride, (), (drive_id, path_on_host, layers))

struct PmemOverride {
  std::string id;
  std::string path_on_host;
};
BOOST_DESCRIBE_STRUCT(PmemOverride, (), (id, path_on_host))

struct ConsoleOverride {
  std::uint32_t port = 0;  // as the guest counts them, from 0
  std::string path;        // of a port whose mode is File or Socket
};
BOOST_DESCRIBE_STRUCT(ConsoleOverride, (), (port, path))

// As machine::HugePages; Snapshot: as the machine had them that was saved.
enum class LoadHugePages { Snapshot, None, Transparent, TwoMib };
BOOST_DESCRIBE_ENUM(LoadHugePages, Snapshot, None, Transparent, TwoMib)
constexpr auto json_names(LoadHugePages) {
  return std::array{json::name(LoadHugePages::TwoMib, "2M")};
}

struct SnapshotLoad {
  std::string snapshot_path = {};  // not of backend_type Descriptors
  // One of the two: the second is the older way to say File.
  std::optional<MemoryBackend> mem_backend = {};
  std::optional<std::string> mem_file_path = {};
  // Either: pages that are written from now on are noted.
  bool track_dirty_pages = false;
  bool enable_diff_snapshots = false;
  bool resume_vm = false;
  bool clock_realtime = false;  // the guest's clock is set to the present time
  std::vector<NetworkOverride> network_overrides = {};
  std::optional<VsockOverride> vsock_override = {};
  LoadHugePages huge_pages = LoadHugePages::Snapshot;
  // Mote's own. What is not named is as the snapshot has it.
  std::vector<DriveOverride> drive_overrides = {};
  std::vector<PmemOverride> pmem_overrides = {};
  std::vector<ConsoleOverride> console_overrides = {};
  // As PUT /serial, /logger and /mmds have them.
  std::optional<SerialConfig> serial = {};
  std::optional<LoggerConfig> logger = {};
  std::optional<json::Value> mmds = {};
  bool prefetch = false;                   // brings in what the guest touches first, or notes it
  std::vector<UniqueFd> descriptors = {};  // beside the request
};
BOOST_DESCRIBE_STRUCT(SnapshotLoad, (),
                      (snapshot_path, mem_backend, mem_file_path, track_dirty_pages,
                       enable_diff_snapshots, resume_vm, clock_realtime, network_overrides,
                       vsock_override, huge_pages, drive_overrides, pmem_overrides,
                       console_overrides, serial, logger, mmds, prefetch))
constexpr auto json_rules(const SnapshotLoad*) {
  return std::array{json::sparse("snapshot_path"),
                    json::defaulted("track_dirty_pages"),
                    json::defaulted("enable_diff_snapshots"),
                    json::defaulted("resume_vm"),
                    json::defaulted("clock_realtime"),
                    json::defaulted("network_overrides"),
                    json::defaulted("huge_pages"),
                    json::defaulted("drive_overrides"),
                    json::defaulted("pmem_overrides"),
                    json::defaulted("console_overrides"),
                    json::defaulted("prefetch")};
}

// Mote's own: PUT /fork, which has no fields, and its answer; the descriptors go beside it, the
// state's before those of memory.
struct Fork {};
BOOST_DESCRIBE_STRUCT(Fork, (), ())

struct ForkAnswer {
  std::uint32_t descriptors_sent = 0;
  std::uint64_t paused_us = 0;     // how long the guest stood still, in microseconds
  std::uint64_t copied_bytes = 0;  // of memory that was written since it was forked before
  std::vector<UniqueFd> descriptors = {};
};
BOOST_DESCRIBE_STRUCT(ForkAnswer, (), (descriptors_sent, paused_us, copied_bytes))

}  // namespace mote::api::firecracker
