// FileMemory is a file as memory: what is written there is in the host's page cache, which all who
// map or read the file share, and reaches stable storage when that is asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/mapped_memory.h"
#include "base/result.h"
#include "base/sync.h"
#include "base/unique_fd.h"
#include "base/worker.h"
#include "storage/disk_file.h"

namespace mote::storage {

class FileMemory {
 public:
  using Done = std::move_only_function<void(Result<void>)>;

  // A sync that is under way is waited for, and its `done` not called.
  virtual ~FileMemory() = default;

  // Gives the mapping to its user, once. It is a multiple of kAlignment long and starts at one;
  // what lies behind the file's end are private pages that are lost.
  virtual MappedMemory take_mapping() = 0;
  // Bytes of the file, at least 1.
  virtual std::uint64_t file_size() const = 0;
  // The mapping cannot be written.
  virtual bool read_only() const = 0;
  // Brings what was written before to stable storage; `done` is called on the loop's thread, also
  // during the call. One at a time.
  virtual void sync(Done done) = 0;
  // Returns when no sync is under way; its `done` was called.
  virtual void drain() = 0;

  static constexpr std::uint64_t kAlignment = std::uint64_t{2} << 20;
};

// A regular file or a block device. Syncs are made on a thread of its own, where the file can be
// written: they may take seconds.
class HostFileMemory final : public FileMemory {
 public:
  // Opens and maps `path`, shared. Errors: as open_disk_file(); an empty file (kInvalid); more than
  // the host can map. A file that is made shorter later ends the process that touches what is gone.
  static Result<std::unique_ptr<HostFileMemory>> open(const std::string& path, Access access,
                                                      EventLoop& loop);

  MappedMemory take_mapping() override { return std::move(mapping_); }
  std::uint64_t file_size() const override { return size_; }
  bool read_only() const override { return access_ == Access::kReadOnly; }
  void sync(Done done) override EXCLUDES(mutex_);
  void drain() override EXCLUDES(mutex_);

 private:
  HostFileMemory(UniqueFd fd, Access access, std::uint64_t size, MappedMemory mapping,
                 EventLoop& loop)
      : fd_(std::move(fd)),
        access_(access),
        size_(size),
        mapping_(std::move(mapping)),
        loop_(loop) {}
  // On the worker.
  void run(std::uint64_t number) EXCLUDES(mutex_);
  // On the loop's thread: sync `number` has its result, unless drain() was faster.
  void finish(std::uint64_t number) EXCLUDES(mutex_);

  UniqueFd fd_;
  Access access_;
  std::uint64_t size_;
  MappedMemory mapping_;
  EventLoop& loop_;
  std::uint64_t number_ = 0;  // of the last sync
  Done done_;                 // of the one under way
  Mutex mutex_;
  Result<void> result_ GUARDED_BY(mutex_);
  // Dies first, so that what was posted knows.
  std::shared_ptr<void> alive_ = std::make_shared<char>();
  std::unique_ptr<Worker> worker_;  // ends before all that it uses
};

}  // namespace mote::storage
