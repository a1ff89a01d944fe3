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
    MOTE_TRY(disk, UringDisk::create(std::move(file), loop, options.ring));
  } else {
    disk = std::make_unique<FileDisk>(std::move(file));
  }
  if (options.cache == Cache::kDirect) {
    disk = std::make_unique<BounceDisk>(std::move(disk), alignment);
  }
  return disk;
}

}  // namespace mote::storage
