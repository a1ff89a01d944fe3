#include "storage/image_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/file.h"
#include "storage/sync_engine.h"

namespace mote::storage {
namespace {

// Fills with zeros what lies past `room` bytes, and returns the buffers that lie before.
std::vector<iovec> cut(std::span<const iovec> buffers, std::uint64_t room) {
  std::vector<iovec> inside;
  for (const iovec& buffer : buffers) {
    const std::size_t here = std::min<std::uint64_t>(buffer.iov_len, room);
    room -= here;
    if (here > 0) inside.push_back({buffer.iov_base, here});
    std::memset(static_cast<std::byte*>(buffer.iov_base) + here, 0, buffer.iov_len - here);
  }
  return inside;
}

}  // namespace

Result<void> ImageFile::read_bytes(std::span<std::byte> into, std::uint64_t offset) {
  iovec buffer{into.data(), into.size()};
  return read(std::span(&buffer, 1), offset);
}

Result<void> ImageFile::write_bytes(std::span<const std::byte> from, std::uint64_t offset) {
  iovec buffer{const_cast<std::byte*>(from.data()), from.size()};
  return write(std::span(&buffer, 1), offset);
}

Result<std::unique_ptr<HostFile>> HostFile::open(const std::string& path, Access access) {
  MOTE_TRY(DiskFile file, open_disk_file(path, access));
  MOTE_TRY(const std::uint64_t size, disk_file_size(path, file.fd.get()));
  return std::unique_ptr<HostFile>(new HostFile(std::move(file), size));
}

Result<std::unique_ptr<HostFile>> HostFile::create(const std::string& path) {
  DiskFile file;
  auto fd = open_file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
  if (!fd) return std::unexpected(std::move(fd.error()));
  file.fd = std::move(*fd);
  MOTE_TRY(file.identity, disk_file_identity(path, file.fd.get()));
  return std::unique_ptr<HostFile>(new HostFile(std::move(file), 0));
}

Result<void> HostFile::read(std::span<iovec> buffers, std::uint64_t offset) {
  std::uint64_t length = 0;
  for (const iovec& buffer : buffers) length += buffer.iov_len;
  if (offset <= size_ && length <= size_ - offset) {
    return read_vector(fd_.get(), buffers, offset);
  }
  auto inside = cut(buffers, offset < size_ ? size_ - offset : 0);
  return read_vector(fd_.get(), inside, offset);
}

Result<void> HostFile::write(std::span<iovec> buffers, std::uint64_t offset) {
  std::uint64_t length = 0;
  for (const iovec& buffer : buffers) length += buffer.iov_len;
  MOTE_CHECK(write_vector(fd_.get(), buffers, offset));
  if (regular_) size_ = std::max(size_, offset + length);
  return {};
}

Result<void> HostFile::sync() { return sync_data(fd_.get()); }

Result<void> HostFile::grow(std::uint64_t size) {
  if (size <= size_) return {};
  if (!regular_) {
    return fail(ErrorKind::kResource, "the image needs {} bytes of a block device that has {}",
                size, size_);
  }
  MOTE_CHECK_WITHIN(extend_file(fd_.get(), size), "the image");
  size_ = size;
  return {};
}

bool HostFile::punch(std::uint64_t offset, std::uint64_t length) {
  return ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(offset), static_cast<off_t>(length)) == 0;
}

}  // namespace mote::storage
