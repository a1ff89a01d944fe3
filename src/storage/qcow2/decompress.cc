#include "storage/qcow2/decompress.h"

#include <zlib.h>

#include "storage/zstd/decompress.h"

namespace mote::storage::qcow2 {

namespace {

std::unexpected<Error> damaged() {
  return fail(ErrorKind::kIo, "the image is corrupt: a compressed cluster is damaged");
}

Result<void> inflate(std::span<const std::byte> from, std::span<std::byte> into) {
  z_stream stream{};
  // A negative window: no header, no checksum.
  if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
    return fail(ErrorKind::kResource, "no memory to decompress a cluster");
  }
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = reinterpret_cast<Bytef*>(into.data());
  stream.avail_out = static_cast<uInt>(into.size());
  const int outcome = ::inflate(&stream, Z_FINISH);
  ::inflateEnd(&stream);
  // It may stop for want of room right before its end mark.
  const bool whole = outcome == Z_STREAM_END || outcome == Z_BUF_ERROR;
  if (whole && stream.avail_out == 0) return {};
  return damaged();
}

}  // namespace

Result<void> decompress(bool zstd, std::span<const std::byte> from, std::span<std::byte> into) {
  if (!zstd) return inflate(from, into);
  if (!storage::zstd::decompress(from, into)) return damaged();
  return {};
}

}  // namespace mote::storage::qcow2
