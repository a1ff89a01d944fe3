// What a user says of a block device (a "drive").
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json_rules.h"
#include "base/result.h"
#include "virtio/rate_limiter.h"

namespace mote::virtio {

// What a guest's flush means: nothing (Unsafe: the guest is not offered it), or that what it wrote
// is on stable storage (Writeback).
enum class CacheType { Unsafe, Writeback };
BOOST_DESCRIBE_ENUM(CacheType, Unsafe, Writeback)

// How requests reach the file: one at a time, or by io_uring.
enum class IoEngine { Sync, Async };
BOOST_DESCRIBE_ENUM(IoEngine, Sync, Async)

// What the file at path_on_host holds: the disk's bytes, or an image of them. Never guessed: a
// guest could write the header of an image into its raw disk.
enum class DiskFormat { Raw, Qcow2, Overlay };
BOOST_DESCRIBE_ENUM(DiskFormat, Raw, Qcow2, Overlay)
constexpr auto json_names(DiskFormat) {
  return std::array{json::name(DiskFormat::Raw, "raw"), json::name(DiskFormat::Qcow2, "qcow2"),
                    json::name(DiskFormat::Overlay, "overlay")};
}

inline constexpr std::uint32_t kMaxBlockQueues = 32;  // a machine has no more processors
inline constexpr std::size_t kMaxSerial = 20;         // VIRTIO 1.2, 5.2.6: an id has 20 bytes

struct BlockConfig {
  std::string drive_id;
  std::optional<std::string> path_on_host{};  // an image or a block device
  bool is_root_device = false;
  std::optional<std::string>
      partuuid{};                      // of the root partition; matters for the root device alone
  std::optional<bool> is_read_only{};  // absent: false
  std::optional<CacheType> cache_type{};  // absent: Unsafe
  std::optional<IoEngine> io_engine{};    // absent: Sync
  std::optional<RateLimiterConfig> rate_limiter{};
  std::optional<std::string> socket{};  // of a vhost-user backend, in place of path_on_host
  // Mote's own.
  bool direct = false;                  // around the host's page cache
  std::optional<std::string> serial{};  // the guest's serial number; absent: the file's numbers
  std::uint32_t num_queues = 1;         // up to the number of vCPUs
  DiskFormat format = DiskFormat::Raw;
  bool backing_files = false;  // a qcow2 image may name files that the guest then reads
  // What a layer (format overlay) lies on, lowest first: a raw image, then sealed layers.
  std::vector<std::string> layers{};
};
BOOST_DESCRIBE_STRUCT(BlockConfig, (),
                      (drive_id, path_on_host, is_root_device, partuuid, is_read_only, cache_type,
                       io_engine, rate_limiter, socket, direct, serial, num_queues, format,
                       backing_files, layers))
constexpr auto json_rules(const BlockConfig*) {
  return std::array{json::sparse("direct"),        json::sparse("serial"),
                    json::sparse("num_queues"),    json::sparse("format"),
                    json::sparse("backing_files"), json::sparse("layers")};
}

// Whether the drive writes a layer of its own.
inline bool writes_layer(const BlockConfig& config) {
  return config.format == DiskFormat::Overlay && !config.is_read_only.value_or(false);
}

// Whether the values make sense and are built, without a look at the host: the error names the
// drive and the field.
Result<void> check(const BlockConfig& config);

}  // namespace mote::virtio
