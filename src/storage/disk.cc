#include "storage/disk.h"

namespace mote::storage {
namespace {

// The length of a request that is in order.
Result<std::uint64_t> check(const Disk& disk, const DiskRequest& request) {
  std::uint64_t length = 0;
  for (const iovec& buffer : request.buffers) {
    if (buffer.iov_len > UINT64_MAX - length) {
      return fail(ErrorKind::kInvalid, "the buffers of a disk request are longer than memory");
    }
    length += buffer.iov_len;
  }
  if (request.op == Op::kFlush) {
    if (length != 0) return fail(ErrorKind::kInvalid, "a flush of {} bytes of buffers", length);
    return 0;
  }
  if (request.op == Op::kWrite && disk.read_only()) {
    return fail(ErrorKind::kPermission, "a write to a disk that is read-only");
  }
  if (request.offset % kSectorSize != 0 || length % kSectorSize != 0) {
    return fail(ErrorKind::kInvalid, "{} bytes at {} are not whole sectors of {}", length,
                request.offset, kSectorSize);
  }
  if (request.offset > disk.size() || length > disk.size() - request.offset) {
    return fail(ErrorKind::kInvalid, "{} bytes at {} pass the end of a disk of {}", length,
                request.offset, disk.size());
  }
  return length;
}

}  // namespace

void Disk::submit(DiskRequest request, Done done) {
  auto length = check(*this, request);
  if (!length) {
    done(std::move(request), detail::take_error(length));
    return;
  }
  start(std::move(request), *length, std::move(done));
}

}  // namespace mote::storage
