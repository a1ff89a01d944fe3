#include "storage/file_disk.h"

#include "base/log.h"
#include "storage/sync_engine.h"

namespace mote::storage {
Result<std::unique_ptr<FileDisk>> FileDisk::open(const std::string& path, Access access) {
  MOTE_TRY(DiskFile file, open_disk_file(path, access));
  std::unique_ptr<FileDisk> disk(new FileDisk(path, std::move(file), access));
  MOTE_CHECK(disk->refresh());
  return disk;
}

Result<void> FileDisk::refresh() {
  MOTE_TRY(const std::uint64_t bytes, disk_file_size(path_, fd_.get()));
  const std::uint64_t rest = bytes % kSectorSize;
  if (rest != 0) {
    log::warning("disk '{}' has {} bytes, not a multiple of {}: the last {} are out of reach",
                 path_, bytes, kSectorSize, rest);
  }
  size_ = bytes - rest;
  return {};
}

void FileDisk::start(DiskRequest request, std::uint64_t length, Done done) {
  Result<void> result;
  switch (request.op) {
    case Op::kRead:
      result = read_vector(fd_.get(), request.buffers, request.offset);
      break;
    case Op::kWrite:
      result = write_vector(fd_.get(), request.buffers, request.offset);
      break;
    case Op::kFlush:
      result = sync_data(fd_.get());
      break;
    case Op::kDiscard:
      result = discard(fd_.get(), request.offset, length);
      break;
    case Op::kWriteZeroes:
      result = write_zeroes(fd_.get(), request.offset, length, request.may_unmap);
      break;
  }
  done(std::move(request), std::move(result));
}

}  // namespace mote::storage
