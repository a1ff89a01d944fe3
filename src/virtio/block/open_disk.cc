#include "virtio/block/open_disk.h"

#include "storage/overlay/disk.h"
#include "storage/qcow2/disk.h"
#include "storage/raw_disk.h"

namespace mote::virtio {
namespace {

Result<std::unique_ptr<storage::Disk>> open_format(const BlockConfig& config, EventLoop& loop,
                                                   std::shared_ptr<storage::DiskRing>* ring) {
  const auto access = config.is_read_only.value_or(false) ? storage::Access::kReadOnly
                                                          : storage::Access::kReadWrite;
  const auto engine =
      config.io_engine == IoEngine::Async ? storage::Engine::kUring : storage::Engine::kSync;
  const std::string& path = *config.path_on_host;
  if (config.format == DiskFormat::Qcow2) {
    return storage::qcow2::Qcow2Disk::open(
        path,
        {.access = access, .engine = engine, .ring = ring, .backing_files = config.backing_files},
        &loop);
  }
  if (config.format == DiskFormat::Overlay) {
    // Where a flush means nothing, nothing waits for one.
    const auto map_writes = config.cache_type == CacheType::Writeback
                                ? storage::overlay::MapWrites::kOnFlush
                                : storage::overlay::MapWrites::kThrough;
    return storage::overlay::OverlayDisk::open(path,
                                               {.below = config.layers,
                                                .access = access,
                                                .map_writes = map_writes,
                                                .engine = engine,
                                                .ring = ring},
                                               &loop);
  }
  return storage::open_raw_disk(
      path,
      {.access = access,
       .cache = config.direct ? storage::Cache::kDirect : storage::Cache::kBuffered,
       .engine = engine,
       .ring = ring},
      loop);
}

}  // namespace

Result<std::unique_ptr<storage::Disk>> open_disk(const BlockConfig& config, EventLoop& loop,
                                                 std::shared_ptr<storage::DiskRing>* ring) {
  auto disk = open_format(config, loop, ring);
  if (!disk) {
    return std::unexpected(
        std::move(disk.error()).within(fmt::format("drive '{}'", config.drive_id)));
  }
  return disk;
}

}  // namespace mote::virtio
