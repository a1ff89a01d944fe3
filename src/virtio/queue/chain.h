// A chain of buffers that the driver has made available, as a device gets it: first what it may
// read, then what it may write. A chain was checked whole before; what remains hostile is the
// content.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::virtio {

class Ring;

// A place in a row of buffers: what ChainReader and ChainWriter have in common.
class ChainCursor {
 public:
  explicit ChainCursor(std::span<const memory::GuestSlice> parts);
  ChainCursor() = default;

  // Bytes from here to the end.
  std::uint64_t left() const { return left_; }

 protected:
  // Calls `use(slice)` for each run of the next `length` bytes; `length` is at most left(). Moves
  // this cursor.
  template <typename Use>
  void walk(std::uint64_t length, Use&& use) {
    left_ -= length;
    while (length > 0) {
      const memory::GuestSlice& part = parts_.front();
      const std::uint64_t here = std::min(length, part.size() - offset_);
      use(*part.sub(offset_, here));
      length -= here;
      offset_ += here;
      if (offset_ == part.size()) {
        parts_ = parts_.subspan(1);
        offset_ = 0;
      }
    }
  }

  std::span<const memory::GuestSlice> parts_;  // none of them empty
  std::uint64_t offset_ = 0;                   // in the first of parts_
  std::uint64_t left_ = 0;
};

// Reads the device-readable part in order, each byte once, wherever the driver split it.
class ChainReader : public ChainCursor {
 public:
  using ChainCursor::ChainCursor;

  // Copies out the next `into.size()` bytes; an error (kGuest) when fewer are left, with nothing
  // taken.
  Result<void> read(std::span<std::byte> into);
  template <memory::GuestValue T>
  Result<T> read() {
    T value;
    MOTE_CHECK(read(std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  // Lends the next `limit` bytes, or what is left, to a system call that reads from them: appends
  // to `into`, returns how many bytes that were.
  std::uint64_t lend(std::uint64_t limit, std::vector<iovec>& into);
};

// Fills the device-writable part in order. What was written is counted here, and it is this count
// that the driver is told.
class ChainWriter : public ChainCursor {
 public:
  using ChainCursor::ChainCursor;

  // Bytes that the driver will be told of.
  std::uint64_t written() const { return written_; }

  // Writes all of `from`; an error (kGuest) when less room is left, with nothing written.
  Result<void> write(std::span<const std::byte> from);
  template <memory::GuestValue T>
  Result<void> write(const T& value) {
    return write(std::as_bytes(std::span(&value, 1)));
  }

  // Lends the next `limit` bytes of room, or what is left of it, to a system call that fills them:
  // appends to `into`, returns how many bytes that were. The room stays; filled() takes it.
  std::uint64_t room(std::uint64_t limit, std::vector<iovec>& into);
  // The first `length` bytes of what room() lent last are filled now. More than was lent is a
  // defect of the caller: only what was lent counts.
  void filled(std::uint64_t length);
  // Writes `from` over what is written already, `offset` bytes from its start; false, with nothing
  // written, when that is not all inside. A head or tail that is kept is not written yet.
  bool rewrite(std::uint64_t offset, std::span<const std::byte> from);

  // Hands over what is left of the room piece by piece, as `use(const memory::GuestSlice&)`, for a
  // device to which buffers are memory and not data. Nothing counts as written.
  template <typename Use>
  void each(Use&& use) {
    walk(left_, std::forward<Use>(use));
  }

  // Keeps the next `length` bytes of the room for write_head(), for a header that is known only
  // when what follows it is in place; false when there is less room, or something was written or
  // kept already.
  bool keep_head(std::uint64_t length);
  // Writes the kept head; `from` has its length.
  void write_head(std::span<const std::byte> from);

  // Keeps the last `length` bytes of the room for write_tail(), out of reach of the others; false
  // when there is less room, or a tail is kept already.
  bool keep_tail(std::uint64_t length);
  // Writes the kept tail; `from` has its length.
  void write_tail(std::span<const std::byte> from);

 private:
  std::span<const memory::GuestSlice> all_ = parts_;
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;
  std::uint64_t lent_ = 0;
  std::uint64_t written_ = 0;
};

// The token for a chain: whoever holds it owes the driver its completion. Dying without complete()
// completes it with length 0 and is counted. Belongs to the thread of its queue; may outlive the
// Queue object.
class [[nodiscard]] Chain {
 public:
  Chain(std::shared_ptr<Ring> ring, std::uint16_t head, std::vector<memory::GuestSlice> parts,
        std::size_t readable);
  Chain(Chain&&) noexcept = default;
  Chain& operator=(Chain&& other) noexcept;
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;
  ~Chain();

  ChainReader& in() { return in_; }
  ChainWriter& out() { return out_; }
  // The index of the chain's first descriptor.
  std::uint16_t head() const { return head_; }

  // Puts the chain into the used ring with what out() has counted. The driver sees it at the next
  // Queue::flush().
  void complete() &&;

 private:
  friend class Queue;
  void finish(std::uint32_t length);
  // Leaves the ring without a completion: the queue takes the chain back.
  void withdraw();

  std::shared_ptr<Ring> ring_;  // empty: completed, or moved from
  std::vector<memory::GuestSlice> parts_;
  ChainReader in_;
  ChainWriter out_;
  std::uint16_t head_ = 0;
};

}  // namespace mote::virtio
