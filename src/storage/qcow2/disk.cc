#include "storage/qcow2/disk.h"

#include <utility>

#include "storage/qcow2/chain.h"

namespace mote::storage::qcow2 {

Result<std::unique_ptr<Qcow2Disk>> Qcow2Disk::open(const std::string& path, const Options& options,
                                                   EventLoop* loop) {
  MOTE_TRY(OpenedImage opened, open_chain(path, options));
  std::unique_ptr<UringDisk> data;
  if (options.engine == Engine::kUring) {
    MOTE_TRY(RawFile file, RawFile::open(path, options.access, Cache::kBuffered));
    MOTE_TRY(data, UringDisk::create(std::move(file), *loop, options.ring));
    if (data->identity() != opened.identity) {
      return fail(ErrorKind::kState, "'{}' became another file while it was opened", path);
    }
  }
  return std::make_unique<Qcow2Disk>(std::move(opened.image), options.access,
                                     std::move(opened.identity), std::move(data));
}

Qcow2Disk::Qcow2Disk(std::unique_ptr<Image> image, Access access, std::string identity,
                     std::unique_ptr<UringDisk> data)
    : image_(std::move(image)),
      data_(std::move(data)),
      access_(access),
      identity_(std::move(identity)) {
  traits_.can_discard = access == Access::kReadWrite;
  traits_.discard_granularity = static_cast<std::uint32_t>(image_->header().cluster_size());
}

std::uint64_t Qcow2Disk::size() const {
  const std::uint64_t bytes = image_->header().size;
  return bytes - bytes % kSectorSize;
}

bool Qcow2Disk::try_read(DiskRequest& request, std::uint64_t length) {
  if (!data_) return false;
  const auto place = image_->place_of_data(request.offset, length, false);
  return place && *place + length <= data_->size() &&
         data_->try_read_on(0, *place, request, length);
}

bool Qcow2Disk::pass_on(DiskRequest& request, std::uint64_t length, Done& done) {
  if (!data_) return false;
  if (request.op == Op::kFlush) {
    data_->start_on(0, 0, std::move(request), 0, std::move(done));
    return true;
  }
  if (is_range(request.op)) return false;
  const auto place = image_->place_of_data(request.offset, length, request.op == Op::kWrite);
  if (!place) return false;
  if (*place + length > data_->size()) {
    // The image has grown since.
    if (!data_->refresh() || *place + length > data_->size()) return false;
  }
  data_->start_on(0, *place, std::move(request), length, std::move(done));
  return true;
}

void Qcow2Disk::start(DiskRequest request, std::uint64_t length, Done done) {
  if (pass_on(request, length, done)) return;
  // A cluster that is let go must have nothing under way to it: it may be another's in a moment.
  if (data_ && is_change(request.op)) data_->drain();
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
