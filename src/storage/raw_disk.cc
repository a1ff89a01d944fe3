#include "storage/raw_disk.h"

#include "storage/bounce_disk.h"
#include "storage/file_disk.h"
#include "storage/uring_disk.h"

namespace mote::storage {

Result<std::unique_ptr<Disk>> open_raw_disk(const std::string& path, const RawOptions& options,
                                            EventLoop& loop) {
  MOTE_TRY(RawFile file, RawFile::open(path, options.access, options.cache));
  const std::uint32_t alignment = file.buffer_alignment;
  std::unique_ptr<Disk> disk;
  if (options.engine == Engine::kUring) {
    std::shared_ptr<DiskRing> ring;
    if (options.ring != nullptr) ring = *options.ring;
    if (!ring) {
      MOTE_TRY(ring, DiskRing::create(loop));
    }
    MOTE_TRY(disk, UringDisk::create(std::move(file), loop, ring));
    if (options.ring != nullptr) *options.ring = std::move(ring);
  } else {
    disk = std::make_unique<FileDisk>(std::move(file));
  }
  if (options.cache == Cache::kDirect) {
    disk = std::make_unique<BounceDisk>(std::move(disk), alignment);
  }
  return disk;
}

}  // namespace mote::storage
