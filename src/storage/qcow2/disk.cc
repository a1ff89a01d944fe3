#include "storage/qcow2/disk.h"

#include "storage/qcow2/chain.h"

namespace mote::storage::qcow2 {

Result<std::unique_ptr<Qcow2Disk>> Qcow2Disk::open(const std::string& path,
                                                   const Options& options) {
  MOTE_TRY(OpenedImage opened, open_chain(path, options));
  return std::make_unique<Qcow2Disk>(std::move(opened.image), options.access,
                                     std::move(opened.identity));
}

Qcow2Disk::Qcow2Disk(std::unique_ptr<Image> image, Access access, std::string identity)
    : image_(std::move(image)), access_(access), identity_(std::move(identity)) {
  traits_.can_discard = access == Access::kReadWrite;
  traits_.discard_granularity = static_cast<std::uint32_t>(image_->header().cluster_size());
}

std::uint64_t Qcow2Disk::size() const {
  const std::uint64_t bytes = image_->header().size;
  return bytes - bytes % kSectorSize;
}

void Qcow2Disk::start(DiskRequest request, std::uint64_t length, Done done) {
  Result<void> result;
  switch (request.op) {
    case Op::kRead:
      result = image_->read(request.buffers, request.offset);
      break;
    case Op::kWrite:
      result = image_->write(request.buffers, request.offset);
      break;
    case Op::kFlush:
      result = image_->flush();
      break;
    case Op::kDiscard:
      result = image_->discard(request.offset, length);
      break;
    case Op::kWriteZeroes:
      result = image_->write_zeroes(request.offset, length, request.may_unmap);
      break;
  }
  done(std::move(request), std::move(result));
}

}  // namespace mote::storage::qcow2
