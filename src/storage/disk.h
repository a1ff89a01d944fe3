// Disk is what a block device reads and writes: a file, or something that wraps another Disk.
// A disk belongs to one thread, on which requests are made and completed.
//
//   disk.submit(a); disk.submit(b); disk.commit();   a batch: whoever serves it may be asked once
//   ... later, from the thread's EventLoop: begin_completions(), done(b), done(a),
//   end_completions()
//
// Requests under way are done in any order, and one may see or miss the effect of another.
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
// The longest ranges of one request: a host may have to write all of the one by hand, and to walk
// what it knows of the other.
inline constexpr std::uint64_t kMostZeroes = std::uint64_t{32} << 20;
inline constexpr std::uint64_t kMostDiscarded = std::uint64_t{1} << 30;

enum class Op : std::uint8_t {
  kRead,   // from the disk into the buffers
  kWrite,  // from the buffers to the disk
  kFlush,  // what was written before and completed is on stable storage afterwards; no buffers
  // What the range holds is of no use any more: it reads as anything afterwards, the old bytes or
  // zeros, and the host may take back its room. Advice: a disk that can do nothing with it
  // succeeds.
  kDiscard,
  kWriteZeroes,  // the range reads as zeros afterwards
};

// Whether an operation is on a range (DiskRequest::length) and not on buffers.
constexpr bool is_range(Op op) { return op == Op::kDiscard || op == Op::kWriteZeroes; }
// Whether an operation changes what the disk holds.
constexpr bool is_change(Op op) { return op == Op::kWrite || is_range(op); }

// A request owns its list of buffers while it is under way; the memory that they name stays valid
// until it is done. The list may come back changed: it is handed back for its room.
struct DiskRequest {
  Op op = Op::kRead;
  std::uint64_t offset = 0;  // bytes from the start of the disk
  std::uint64_t length = 0;  // bytes of a range; 0 with other operations, whose buffers say it
  bool may_unmap = false;    // of kWriteZeroes: the range need not keep its room on the host
  std::vector<iovec> buffers;
};

// What a disk says of itself beside its size; fixed for its life.
struct DiskTraits {
  // Requests are multiples of it: a power of two, at least kSectorSize.
  std::uint32_t block_size = kSectorSize;
  // Advice, in bytes: a power of two and multiple of block_size, below which a write costs the host
  // a read as well; what requests are best a multiple of (0: nothing to say).
  std::uint32_t physical_block_size = kSectorSize;
  std::uint32_t optimal_io_size = 0;
  // A discard gives room back to the host, in units of so many bytes.
  bool can_discard = false;
  std::uint32_t discard_granularity = kSectorSize;
};

// Hears when requests are done in a row, so that what follows from each (an interrupt) can be done
// once for all.
class CompletionListener {
 public:
  virtual ~CompletionListener() = default;
  virtual void begin_completions() = 0;
  virtual void end_completions() = 0;
};

class Disk {
 public:
  // Gets the request back, and whether all of it was done. Called once, on the disk's thread:
  // during submit(), commit() or drain(), or later from its EventLoop. It may submit further ones.
  using Done = std::move_only_function<void(DiskRequest request, Result<void> result)>;

  virtual ~Disk() = default;

  // Bytes, a multiple of traits().block_size. Changes in refresh() alone.
  virtual std::uint64_t size() const = 0;
  // Asks the host for the size again, as a file may have grown. An error leaves it as it was.
  virtual Result<void> refresh() { return {}; }
  virtual const DiskTraits& traits() const {
    static constexpr DiskTraits kPlain;
    return kPlain;
  }
  virtual bool read_only() const = 0;
  // A text that tells this disk from others on the host and is the same each time it is opened.
  virtual std::string identity() const = 0;

  // Starts `request`, at the next commit() at the latest. Checked here, so that no disk needs to:
  // all but a flush are whole blocks at a multiple of a block, inside the disk; a disk that is
  // read-only is not changed; a flush and a range have no buffers, only a range has a length, and
  // it is at most kMostDiscarded or kMostZeroes. A request that is refused is done with kInvalid,
  // or kPermission.
  void submit(DiskRequest request, Done done);
  // Does a read here and now, all of it, if the host has the data at hand. False: it is to be
  // submitted, also to hear of what is wrong with it; its buffers hold anything. With plain reads
  // of the host's files alone, so that a thread may call it that can make no other calls.
  bool read_at_once(DiskRequest& request);
  // Starts what was submitted since the last time: once a batch. Requests may wait for it for ever.
  virtual void commit() {}
  // Commits, and returns when every request is done, also those that their Done submitted.
  virtual void drain() = 0;

  // Of a disk whose changes lie in a layer: what was written up to now is a layer of its own from
  // here on, on stable storage, which nobody changes any more and whose name is `sealed_path`, in
  // the same directory; the disk goes on in a new layer on top of it, under the name that the old
  // one had. O(1) in what is written. False: nothing was written since the last time, so that all
  // there is lies below already, and nothing was sealed. Nothing is under way meanwhile. Errors,
  // after which nothing has changed: the disk has no layer (kUnsupported), a name that is taken, no
  // room.
  virtual Result<bool> freeze(const std::string& sealed_path);
  // Of such a disk: a text that tells what its layer lies on from all else, on any host. Others
  // have none.
  virtual std::string lies_on() const { return {}; }

  // How many requests had to wait since the disk was opened, as its engine had no room for more at
  // once.
  virtual std::uint64_t throttled() const { return 0; }

  // Whom to tell of completions that come in a row; null: nobody. It hears of those alone that are
  // not made inside submit(), commit() or drain(), and a disk may leave it out.
  virtual void set_completion_listener(CompletionListener* /*listener*/) {}

 protected:
  // Does a request that submit() has checked. `length` in bytes: the sum of its buffers, or its
  // range.
  virtual void start(DiskRequest request, std::uint64_t length, Done done) = 0;
  // As read_at_once(), which has checked the request.
  virtual bool try_read(DiskRequest& /*request*/, std::uint64_t /*length*/) { return false; }
};

// A disk in front of another: passes everything on, so that a decorator says only what it changes.
class ForwardingDisk : public Disk {
 public:
  explicit ForwardingDisk(std::unique_ptr<Disk> inner) : inner_(std::move(inner)) {}

  std::uint64_t size() const override { return inner_->size(); }
  bool read_only() const override { return inner_->read_only(); }
  Result<void> refresh() override { return inner_->refresh(); }
  const DiskTraits& traits() const override { return inner_->traits(); }
  std::string identity() const override { return inner_->identity(); }
  Result<bool> freeze(const std::string& sealed_path) override {
    return inner_->freeze(sealed_path);
  }
  std::string lies_on() const override { return inner_->lies_on(); }
  std::uint64_t throttled() const override { return inner_->throttled(); }
  void commit() override { inner_->commit(); }
  void drain() override { inner_->drain(); }
  void set_completion_listener(CompletionListener* listener) override {
    inner_->set_completion_listener(listener);
  }

 protected:
  void start(DiskRequest request, std::uint64_t /*length*/, Done done) override {
    inner_->submit(std::move(request), std::move(done));
  }
  bool try_read(DiskRequest& request, std::uint64_t /*length*/) override {
    return inner_->read_at_once(request);
  }
  Disk& inner() { return *inner_; }

 private:
  std::unique_ptr<Disk> inner_;
};

// Appends `length` bytes of zeros to `into`, for a host that has no better way to write zeroes than
// to write them. At most kMostZeroes.
void append_zeroes(std::uint64_t length, std::vector<iovec>& into);

// Refuses changes, whatever the disk behind it would do: submit() acts on read_only().
class ReadOnlyDisk final : public ForwardingDisk {
 public:
  using ForwardingDisk::ForwardingDisk;
  bool read_only() const override { return true; }
};

}  // namespace mote::storage
