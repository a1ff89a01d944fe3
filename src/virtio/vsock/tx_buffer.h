// Bytes of a guest that wait for a host program to read: at most kBufAlloc, in memory that is there
// only while some wait.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "virtio/queue/chain.h"
#include "virtio/vsock/packet.h"

namespace mote::virtio::vsock {

class TxBuffer {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  // Appends the next `length` bytes of `from`, which has them; false, with nothing taken, when they
  // do not fit.
  bool push(ChainReader& from, std::size_t length);
  // What waits, oldest first, in one or two runs.
  std::span<const iovec> front();
  // The oldest `length` bytes (at most size()) are gone.
  void pop(std::size_t length);
  void clear() { pop(size_); }

 private:
  std::unique_ptr<std::byte[]> ring_;
  std::size_t start_ = 0;
  std::size_t size_ = 0;
  std::array<iovec, 2> runs_{};
};

}  // namespace mote::virtio::vsock
