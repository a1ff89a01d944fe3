#include "storage/disk.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace mote::storage {
namespace {

// Never touched, so that it is the host's page of zeroes many times over. Aligned for direct I/O.
constexpr std::size_t kZeroes = std::size_t{64} << 10;
alignas(4096) std::array<std::byte, kZeroes> zeroes;

// The length of a request that is in order.
Result<std::uint64_t> check(const Disk& disk, const DiskRequest& request) {
  std::uint64_t length = 0;
  for (const iovec& buffer : request.buffers) {
    if (buffer.iov_len > UINT64_MAX - length) {
      return fail(ErrorKind::kInvalid, "the buffers of a disk request are longer than memory");
    }
    length += buffer.iov_len;
  }
  if (is_range(request.op) ? length != 0 : request.length != 0) {
    return fail(ErrorKind::kInvalid, "a disk request with {} bytes of buffers and a range of {}",
                length, request.length);
  }
  if (request.op == Op::kFlush) {
    if (length != 0) return fail(ErrorKind::kInvalid, "a flush of {} bytes of buffers", length);
    return 0;
  }
  if (is_range(request.op)) {
    length = request.length;
    const std::uint64_t most = request.op == Op::kDiscard ? kMostDiscarded : kMostZeroes;
    if (length > most) {
      return fail(ErrorKind::kInvalid, "a range of {} bytes, where {} are the most", length, most);
    }
  }
  if (is_change(request.op) && disk.read_only()) {
    return fail(ErrorKind::kPermission, "a write to a disk that is read-only");
  }
  const std::uint64_t block = disk.traits().block_size;
  if (request.offset % block != 0 || length % block != 0) {
    return fail(ErrorKind::kInvalid, "{} bytes at {} are not whole blocks of {}", length,
                request.offset, block);
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

bool Disk::read_at_once(DiskRequest& request) {
  const auto length = check(*this, request);
  return length && request.op == Op::kRead && try_read(request, *length);
}

Result<bool> Disk::freeze(const std::string& /*sealed_path*/) {
  return fail(ErrorKind::kUnsupported, "a disk that is not of format overlay has no layer to seal");
}

void append_zeroes(std::uint64_t length, std::vector<iovec>& into) {
  while (length > 0) {
    const std::size_t here = std::min<std::uint64_t>(length, kZeroes);
    into.push_back({zeroes.data(), here});
    length -= here;
  }
}

}  // namespace mote::storage
