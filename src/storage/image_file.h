// ImageFile is the host's file that a disk image lies in, as an image format uses it: one call
// after the other, and what is past its end reads as zeros.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "storage/disk_file.h"

namespace mote::storage {

class ImageFile {
 public:
  virtual ~ImageFile() = default;

  // Bytes; as it was opened, or grown since.
  virtual std::uint64_t size() const = 0;
  // The list is changed on the way.
  virtual Result<void> read(std::span<iovec> buffers, std::uint64_t offset) = 0;
  virtual Result<void> write(std::span<iovec> buffers, std::uint64_t offset) = 0;
  // What was written before is on stable storage afterwards.
  virtual Result<void> sync() = 0;
  // Makes the file at least `size` bytes long, zeros at its end. An error (kResource) where it
  // cannot grow.
  virtual Result<void> grow(std::uint64_t size) = 0;
  // Gives room back to the host where it can; true: the range reads as zeros now.
  virtual bool punch(std::uint64_t offset, std::uint64_t length) = 0;

  Result<void> read_bytes(std::span<std::byte> into, std::uint64_t offset);
  Result<void> write_bytes(std::span<const std::byte> from, std::uint64_t offset);
};

// A regular file, or a block device, which does not grow.
class HostFile final : public ImageFile {
 public:
  // Errors as those of open_disk_file().
  static Result<std::unique_ptr<HostFile>> open(const std::string& path, Access access);
  // A regular file that is not there yet, to read and write. Errors: there is something (kState).
  static Result<std::unique_ptr<HostFile>> create(const std::string& path);

  std::uint64_t size() const override { return size_; }
  Result<void> read(std::span<iovec> buffers, std::uint64_t offset) override;
  Result<void> write(std::span<iovec> buffers, std::uint64_t offset) override;
  Result<void> sync() override;
  Result<void> grow(std::uint64_t size) override;
  bool punch(std::uint64_t offset, std::uint64_t length) override;

  int fd() const { return fd_.get(); }
  bool is_regular() const { return regular_; }
  // As Disk::identity().
  const std::string& identity() const { return identity_; }

 private:
  HostFile(DiskFile file, std::uint64_t size)
      : fd_(std::move(file.fd)),
        size_(size),
        regular_(!file.block_device),
        identity_(std::move(file.identity)) {}

  UniqueFd fd_;
  std::uint64_t size_;
  bool regular_;
  std::string identity_;
};

}  // namespace mote::storage
