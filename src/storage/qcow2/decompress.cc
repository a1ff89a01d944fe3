#include "storage/qcow2/decompress.h"

#include <zlib.h>
#include <zstd.h>

namespace mote::storage::qcow2 {
namespace {

std::unexpected<Error> damaged(const char* method) {
  return fail(ErrorKind::kIo, "the image is corrupt: a cluster compressed by {} is damaged",
              method);
}

Result<void> inflate_raw(std::span<const std::byte> from, std::span<std::byte> into) {
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
  if (!whole || stream.avail_out != 0) return damaged("zlib");
  return {};
}

// One frame straight into the cluster: the window that a frame asks for is never allocated.
Result<void> decompress_zstd(std::span<const std::byte> from, std::span<std::byte> into) {
  const std::size_t frame = ::ZSTD_findFrameCompressedSize(from.data(), from.size());
  if (::ZSTD_isError(frame) != 0) return damaged("zstd");
  const std::size_t made = ::ZSTD_decompress(into.data(), into.size(), from.data(), frame);
  if (::ZSTD_isError(made) != 0 || made != into.size()) return damaged("zstd");
  return {};
}

}  // namespace

Result<void> decompress(Compression method, std::span<const std::byte> from,
                        std::span<std::byte> into) {
  return method == Compression::kZlib ? inflate_raw(from, into) : decompress_zstd(from, into);
}

}  // namespace mote::storage::qcow2
