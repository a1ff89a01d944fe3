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

class UringDisk final : public Disk {
 public:
  // Completions come from `loop`, which outlives the disk. Errors: as Uring::create().
  static Result<std::unique_ptr<UringDisk>> create(RawFile file, EventLoop& loop);
  UringDisk(const UringDisk&) = delete;
  UringDisk& operator=(const UringDisk&) = delete;
  ~UringDisk() override;

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
  void start(DiskRequest request, std::uint64_t length, Done done) override;

 private:
  // A request that the ring has, in a slot whose number is the operations' tag.
  struct Running {
    DiskRequest request;
    Done done;
    std::span<iovec> left;     // of its buffers
    std::uint64_t offset = 0;  // of what is left
    std::uint64_t length = 0;
    bool writes_zeroes = false;  // by hand, as the host has no better way
  };
  struct Waiting {
    DiskRequest request;
    std::uint64_t length = 0;
    Done done;
  };

  UringDisk(RawFile file, std::unique_ptr<Uring> ring);
  void launch(DiskRequest request, std::uint64_t length, Done done);
  void put(std::size_t slot);
  void reap();
  void advance(std::size_t slot, std::int32_t result);
  void finish(std::size_t slot, Result<void> result);
  bool enter(unsigned wait_for);
  void ready();

  RawFile file_;
  std::unique_ptr<Uring> ring_;
  EventLoop::Watch watch_;
  EventLoop::Timer retry_;  // for a kernel without room
  CompletionListener* listener_ = nullptr;
  std::vector<Running> slots_;
  std::vector<std::size_t> free_slots_;
  std::deque<Waiting> waiting_;  // for a slot
  bool unsubmitted_ = false;
  std::uint64_t throttled_ = 0;
};

}  // namespace mote::storage
