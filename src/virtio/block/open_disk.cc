#include "virtio/block/open_disk.h"

#include "storage/raw_disk.h"

namespace mote::virtio {

Result<std::unique_ptr<storage::Disk>> open_disk(const BlockConfig& config, EventLoop& loop) {
  const storage::RawOptions options{
      .access = config.is_read_only.value_or(false) ? storage::Access::kReadOnly
                                                    : storage::Access::kReadWrite,
      .cache = config.direct ? storage::Cache::kDirect : storage::Cache::kBuffered,
      .engine =
          config.io_engine == IoEngine::Async ? storage::Engine::kUring : storage::Engine::kSync,
  };
  auto disk = storage::open_raw_disk(*config.path_on_host, options, loop);
  if (!disk) {
    return std::unexpected(
        std::move(disk.error()).within(fmt::format("drive '{}'", config.drive_id)));
  }
  return disk;
}

}  // namespace mote::virtio
