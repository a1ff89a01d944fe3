// A qcow2 image of version 2 or 3 as a disk.
#pragma once

#include <memory>
#include <string>

#include "storage/disk.h"
#include "storage/disk_file.h"
#include "storage/qcow2/image.h"
#include "storage/raw_disk.h"
#include "storage/uring_disk.h"

namespace mote::storage::qcow2 {

struct Options {
  Access access = Access::kReadWrite;
  // How data reaches the host where it is in the image as it is. What takes more than that (new
  // clusters, tables, compressed clusters, backing files) is done synchronously.
  Engine engine = Engine::kSync;
  std::shared_ptr<DiskRing>* ring = nullptr;  // as RawOptions has it
  // Whether an image may name a backing file, which is then opened, as may its own: whoever writes
  // an image thereby chooses files of the host that the guest reads.
  bool backing_files = false;
};

// Images on top of one another, the one that is opened and its backing files.
inline constexpr std::size_t kMostLayers = 16;

class Qcow2Disk final : public Disk {
 public:
  // Opens the image at `path` and its backing files, which are opened read-only and whose format
  // the image must say. Errors: as open_disk_file() and Image::open(); a backing file that is not
  // allowed, not a path, or part of a loop (kInvalid).
  // `loop`, for Engine::kUring, outlives the disk.
  static Result<std::unique_ptr<Qcow2Disk>> open(const std::string& path, const Options& options,
                                                 EventLoop* loop = nullptr);
  // A disk over any image; `identity` as Disk::identity(). `data` is the image's file, for what can
  // be read and written as it is; null: all is done synchronously.
  Qcow2Disk(std::unique_ptr<Image> image, Access access, std::string identity,
            std::unique_ptr<UringDisk> data = nullptr);

  std::uint64_t size() const override;
  const DiskTraits& traits() const override { return traits_; }
  bool read_only() const override { return access_ == Access::kReadOnly; }
  std::string identity() const override { return identity_; }
  void commit() override {
    if (data_) data_->commit();
  }
  void drain() override {
    if (data_) data_->drain();
  }
  void set_completion_listener(CompletionListener* listener) override {
    if (data_) data_->set_completion_listener(listener);
  }

 protected:
  void start(DiskRequest request, std::uint64_t length, Done done) override;
  bool try_read(DiskRequest& request, std::uint64_t length) override;

 private:
  // Whether the file itself is asked; done then keeps what it needs.
  bool pass_on(DiskRequest& request, std::uint64_t length, Done& done);

  std::unique_ptr<Image> image_;
  std::unique_ptr<UringDisk> data_;
  Access access_;
  std::string identity_;
  DiskTraits traits_;
};

}  // namespace mote::storage::qcow2
