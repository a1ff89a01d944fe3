// A stack of layers as a disk. What the topmost layer holds is read and written like a raw disk's,
// by the same engines: its place in the file is known at once. What it does not hold yet is written
// synchronously, with what lies below around it where a cluster is not written whole.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/disk.h"
#include "storage/overlay/stack.h"
#include "storage/raw_disk.h"
#include "storage/uring_disk.h"

namespace mote::storage::overlay {

struct Options {
  std::vector<std::string> below = {};  // as open_below() has it
  Access access = Access::kReadWrite;
  MapWrites map_writes = MapWrites::kThrough;
  Engine engine = Engine::kSync;
  std::shared_ptr<DiskRing>* ring = nullptr;  // as RawOptions has it
};

class OverlayDisk final : public Disk {
 public:
  // Opens the layer at `path` with what is below it. Errors: as open_stack() and Uring::create().
  // `loop`, for Engine::kUring, outlives the disk.
  static Result<std::unique_ptr<OverlayDisk>> open(const std::string& path, const Options& options,
                                                   EventLoop* loop = nullptr);
  // A disk over any stack, served synchronously.
  OverlayDisk(Stack stack, Access access, std::string identity);
  ~OverlayDisk() override;

  std::uint64_t size() const override { return size_; }
  const DiskTraits& traits() const override { return traits_; }
  bool read_only() const override { return access_ == Access::kReadOnly; }
  std::string identity() const override { return identity_; }
  std::uint64_t throttled() const override { return ring_ ? ring_->throttled() : 0; }
  void commit() override {
    if (ring_) ring_->commit();
  }
  void drain() override {
    if (ring_) ring_->drain();
  }
  void set_completion_listener(CompletionListener* listener) override {
    if (ring_) ring_->set_completion_listener(listener);
  }
  Result<bool> freeze(const std::string& sealed_path) override;
  std::string lies_on() const override;

 protected:
  void start(DiskRequest request, std::uint64_t length, Done done) override;
  bool try_read(DiskRequest& request, std::uint64_t length) override;

 private:
  // What is asked of a request that is done in several parts.
  struct Joined;
  struct Flush {
    DiskRequest request;
    Done done;
  };

  // One system call, or one operation of the ring.
  void pass_on(std::size_t file, std::uint64_t place, DiskRequest request, std::uint64_t length,
               Done done);
  void read(DiskRequest request, std::uint64_t length, Done done);
  void read_parts(DiskRequest request, std::uint64_t length, Done done);
  void write(DiskRequest request, std::uint64_t length, Done done);
  Result<void> write_now(std::span<iovec> buffers, std::uint64_t length, std::uint64_t offset);
  Result<void> write_new(std::span<const iovec> buffers, std::uint64_t length,
                         std::uint64_t offset);
  void clear(DiskRequest request, std::uint64_t length, Done done);
  Result<void> zero_clusters(std::uint64_t first, std::uint64_t last);
  Result<bool> holds(std::uint64_t offset, std::uint64_t length);
  void flush(Flush asked);
  void flush_all();
  void flushed(Result<void> result);
  Result<void> add_top_to_ring(int fd);

  std::uint64_t cluster_size() const { return stack_.top().header().cluster_size(); }
  std::uint64_t place_of(std::uint64_t offset) const {
    return stack_.top().header().data_offset() + offset;
  }

  Stack stack_;
  Access access_;
  std::string identity_;
  std::uint64_t size_;
  DiskTraits traits_;
  // Of a disk that was opened by its path.
  std::string path_;
  int fd_ = -1;  // of the topmost layer
  MapWrites map_writes_ = MapWrites::kThrough;
  std::unique_ptr<UringDisk> ring_;     // null: synchronous
  std::vector<unsigned> ring_files_;    // the ring's numbers of the stack's files
  std::vector<Flush> flushes_;          // that are under way together
  std::vector<Flush> waiting_flushes_;  // for these to be done
  Layer::Changes changes_;              // of the flushes under way
};

}  // namespace mote::storage::overlay
