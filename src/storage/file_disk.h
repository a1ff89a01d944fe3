// A raw disk, served synchronously: the bytes of a regular file or of a block device of the host,
// one to one, each request done when submit() returns.
#pragma once

#include <memory>
#include <string>

#include "storage/disk.h"
#include "storage/raw_file.h"

namespace mote::storage {

class FileDisk final : public Disk {
 public:
  explicit FileDisk(RawFile file) : file_(std::move(file)) {}
  // As RawFile::open(), through the page cache.
  static Result<std::unique_ptr<FileDisk>> open(const std::string& path, Access access);

  std::uint64_t size() const override { return file_.size; }
  Result<void> refresh() override { return file_.refresh(); }
  const DiskTraits& traits() const override { return file_.traits; }
  bool read_only() const override { return file_.access == Access::kReadOnly; }
  std::string identity() const override { return file_.identity; }
  void drain() override {}  // start() is done when it returns

 protected:
  void start(DiskRequest request, std::uint64_t length, Done done) override;
  bool try_read(DiskRequest& request, std::uint64_t length) override;

 private:
  RawFile file_;
};

}  // namespace mote::storage
