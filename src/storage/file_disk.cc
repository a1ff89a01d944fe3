#include "storage/file_disk.h"

#include "storage/sync_engine.h"

namespace mote::storage {

Result<std::unique_ptr<FileDisk>> FileDisk::open(const std::string& path, Access access) {
  MOTE_TRY(RawFile file, RawFile::open(path, access, Cache::kBuffered));
  return std::make_unique<FileDisk>(std::move(file));
}

void FileDisk::start(DiskRequest request, std::uint64_t length, Done done) {
  Result<void> result = serve_now(file_.fd.get(), request.offset, request, length);
  done(std::move(request), std::move(result));
}

bool FileDisk::try_read(DiskRequest& request, std::uint64_t length) {
  return read_at_hand(file_.fd.get(), file_.in_memory, request.buffers, request.offset, length);
}

}  // namespace mote::storage
