#include "virtio/vsock/tx_buffer.h"

#include <algorithm>

namespace mote::virtio::vsock {

bool TxBuffer::push(ChainReader& from, std::size_t length) {
  if (length > kBufAlloc - size_ || length > from.left()) return false;
  if (length == 0) return true;
  if (ring_ == nullptr) ring_ = std::make_unique_for_overwrite<std::byte[]>(kBufAlloc);
  while (length > 0) {
    const std::size_t end = (start_ + size_) % kBufAlloc;
    const std::size_t here = std::min(length, kBufAlloc - end);
    static_cast<void>(from.read(std::span(ring_.get() + end, here)));
    size_ += here;
    length -= here;
  }
  return true;
}

std::span<const iovec> TxBuffer::front() {
  const std::size_t first = std::min<std::size_t>(size_, kBufAlloc - start_);
  runs_[0] = {.iov_base = ring_.get() + start_, .iov_len = first};
  runs_[1] = {.iov_base = ring_.get(), .iov_len = size_ - first};
  return std::span(runs_).first(size_ == 0 ? 0 : size_ == first ? 1 : 2);
}

void TxBuffer::pop(std::size_t length) {
  start_ = (start_ + length) % kBufAlloc;
  size_ -= length;
  if (size_ > 0) return;
  start_ = 0;
  ring_.reset();
}

}  // namespace mote::virtio::vsock
