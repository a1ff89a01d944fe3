// A raw disk: the bytes of a regular file or of a block device of the host, one to one.
#pragma once

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "storage/disk.h"
#include "storage/disk_file.h"

namespace mote::storage {

class FileDisk final : public Disk {
 public:
  // Opens `path`. Its size is taken now: whole sectors, the rest of an odd file cannot be reached
  // and a warning says so; an empty file is an empty disk. Errors: nothing there (kNotFound); not
  // permitted (kPermission); neither a regular file nor a block device (kInvalid).
  static Result<std::unique_ptr<FileDisk>> open(const std::string& path, Access access);

  std::uint64_t size() const override { return size_; }
  Result<void> refresh() override;
  bool read_only() const override { return access_ == Access::kReadOnly; }
  // The numbers of the file's device, of the device that it is, and of its inode, in decimal.
  std::string identity() const override { return identity_; }
  void drain() override {}  // start() is done when it returns

 protected:
  void start(DiskRequest request, std::uint64_t length, Done done) override;

 private:
  FileDisk(std::string path, DiskFile file, Access access)
      : path_(std::move(path)),
        fd_(std::move(file.fd)),
        access_(access),
        identity_(std::move(file.identity)) {}

  std::string path_;
  UniqueFd fd_;
  std::uint64_t size_ = 0;
  Access access_;
  std::string identity_;
};

}  // namespace mote::storage
