// A raw disk, served by an io_uring: a batch of requests enters the kernel once, and nothing that
// the host's storage is slow with keeps the thread.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "storage/disk.h"
#include "storage/raw_file.h"
#include "storage/uring.h"

namespace mote::storage {

class UringDisk;

// A ring and who hears of its completions, for disks that follow each other: where a disk takes
// another's place, so does it at the ring, since a monitor cannot make another once its guest runs.
class DiskRing {
 public:
  // `loop` outlives it. Errors: as Uring::create().
  static Result<std::shared_ptr<DiskRing>> create(EventLoop& loop);

 private:
  friend class UringDisk;
  DiskRing() = default;

  std::unique_ptr<Uring> ring_;
  EventLoop::Watch watch_;
  UringDisk* user_ = nullptr;  // the disk that has operations under way, or had the last
};

class UringDisk final : public Disk {
 public:
  // Completions come from `loop`, which outlives the disk. `ring`: where disks that follow each
  // other keep theirs, made for the first; a disk that had it before has nothing under way once
  // this one has. Null: a ring of its own. Errors: as Uring::create(); the ring has a file too
  // many.
  static Result<std::unique_ptr<UringDisk>> create(RawFile file, EventLoop& loop,
                                                   std::shared_ptr<DiskRing>* ring = nullptr);
  UringDisk(const UringDisk&) = delete;
  UringDisk& operator=(const UringDisk&) = delete;
  ~UringDisk() override;

  // A file more that the disk's requests may be on: its number for start_on(). `fd` stays open as
  // long as the disk; `in_memory` as RawFile has it. Errors: the ring has a file too many.
  Result<unsigned> add_file(int fd, bool in_memory);
  // As start(), on a file of add_file(), or on the disk's own, which is 0, from its byte `place`
  // on, whatever the request says its offset is: it comes back as it went. Nothing was checked: the
  // caller does that.
  void start_on(unsigned file, std::uint64_t place, DiskRequest request, std::uint64_t length,
                Done done);

  // As read_at_once(), likewise.
  bool try_read_on(unsigned file, std::uint64_t place, const DiskRequest& request,
                   std::uint64_t length);

  std::uint64_t size() const override { return file_.size; }
  Result<void> refresh() override { return file_.refresh(); }
  const DiskTraits& traits() const override { return file_.traits; }
  bool read_only() const override { return file_.access == Access::kReadOnly; }
  std::string identity() const override { return file_.identity; }
  std::uint64_t throttled() const override { return throttled_; }
  void commit() override;
  void drain() override;
  void set_completion_listener(CompletionListener* listener) override { listener_ = listener; }

 protected:
  void start(DiskRequest request, std::uint64_t length, Done done) override {
    const std::uint64_t place = request.offset;
    start_on(0, place, std::move(request), length, std::move(done));
  }
  bool try_read(DiskRequest& request, std::uint64_t length) override {
    return try_read_on(0, request.offset, request, length);
  }

 private:
  struct File {
    int fd = -1;
    unsigned number = 0;  // at the ring
    bool in_memory = false;
  };
  // A request that the ring has, in a slot whose number is the operations' tag.
  struct Running {
    unsigned file = 0;  // at the ring
    DiskRequest request;
    Done done;
    std::span<iovec> left;     // of its buffers
    std::uint64_t offset = 0;  // of what is left, in the file
    std::uint64_t length = 0;
    bool writes_zeroes = false;  // by hand, as the host has no better way
  };
  struct Waiting {
    unsigned file = 0;        // at the ring
    std::uint64_t place = 0;  // in the file
    DiskRequest request;
    std::uint64_t length = 0;
    Done done;
  };

  friend class DiskRing;
  UringDisk(RawFile file, std::shared_ptr<DiskRing> ring);
  Uring& ring() { return *ring_->ring_; }
  void launch(Waiting next);
  void put(std::size_t slot);
  void reap();
  void advance(std::size_t slot, std::int32_t result);
  void finish(std::size_t slot, Result<void> result);
  bool enter(unsigned wait_for);
  void ready();

  RawFile file_;
  std::shared_ptr<DiskRing> ring_;
  std::vector<File> files_;
  EventLoop::Timer retry_;  // for a kernel without room
  CompletionListener* listener_ = nullptr;
  std::vector<Running> slots_;
  std::vector<std::size_t> free_slots_;
  std::deque<Waiting> waiting_;  // for a slot
  bool unsubmitted_ = false;
  std::uint64_t throttled_ = 0;
};

}  // namespace mote::storage
