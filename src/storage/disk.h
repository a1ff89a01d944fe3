// Disk is what a block device reads and writes: a file, or something that wraps another Disk.
// A disk belongs to one thread, on which requests are made and completed.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace mote::storage {

inline constexpr std::uint64_t kSectorSize = 512;

enum class Op : std::uint8_t {
  kRead,   // from the disk into the buffers
  kWrite,  // from the buffers to the disk
  kFlush,  // what was written before and completed is on stable storage afterwards; no buffers
};

// A request owns its list of buffers while it is under way; the memory that they name stays valid
// until it is done. The list may come back changed: it is handed back for its room.
struct DiskRequest {
  Op op = Op::kRead;
  std::uint64_t offset = 0;  // bytes from the start of the disk
  std::vector<iovec> buffers;
};

class Disk {
 public:
  // Gets the request back, and whether all of it was done. Called once, on the disk's thread:
  // during submit(), or later.
  using Done = std::move_only_function<void(DiskRequest request, Result<void> result)>;

  virtual ~Disk() = default;

  // Bytes, a multiple of kSectorSize.
  virtual std::uint64_t size() const = 0;
  virtual bool read_only() const = 0;
  // A text that tells this disk from others on the host and is the same each time it is opened.
  virtual std::string identity() const = 0;

  // Starts `request`. Checked here, so that no disk needs to: reads and writes are whole sectors at
  // a multiple of a sector, inside the disk; a disk that is read-only is not written; a flush has
  // no buffers. A request that is refused is done with kInvalid, or kPermission.
  void submit(DiskRequest request, Done done);
  // Returns when every request is done.
  virtual void drain() = 0;

 protected:
  // Does a request that submit() has checked. `length` is the sum of its buffers, in bytes.
  virtual void start(DiskRequest request, std::uint64_t length, Done done) = 0;
};

// A disk in front of another: passes everything on, so that a decorator says only what it changes.
class ForwardingDisk : public Disk {
 public:
  explicit ForwardingDisk(std::unique_ptr<Disk> inner) : inner_(std::move(inner)) {}

  std::uint64_t size() const override { return inner_->size(); }
  bool read_only() const override { return inner_->read_only(); }
  std::string identity() const override { return inner_->identity(); }
  void drain() override { inner_->drain(); }

 protected:
  void start(DiskRequest request, std::uint64_t /*length*/, Done done) override {
    inner_->submit(std::move(request), std::move(done));
  }
  Disk& inner() { return *inner_; }

 private:
  std::unique_ptr<Disk> inner_;
};

// Refuses writes, whatever the disk behind it would do: submit() acts on read_only().
class ReadOnlyDisk final : public ForwardingDisk {
 public:
  using ForwardingDisk::ForwardingDisk;
  bool read_only() const override { return true; }
};

}  // namespace mote::storage
