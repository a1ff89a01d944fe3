// Cursor hands out a list of buffers piece by piece.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace mote::storage {

inline std::uint64_t total_length(std::span<const iovec> buffers) {
  std::uint64_t length = 0;
  for (const iovec& buffer : buffers) length += buffer.iov_len;
  return length;
}

inline void fill_zeros(std::span<const iovec> buffers) {
  for (const iovec& buffer : buffers) std::memset(buffer.iov_base, 0, buffer.iov_len);
}

class Cursor {
 public:
  explicit Cursor(std::span<iovec> buffers) : rest_(buffers), left_(total_length(buffers)) {}

  std::uint64_t left() const { return left_; }
  // The next `length` (at most left()) bytes. Good until the next call; may be changed. All that is
  // left comes without a copy of the list.
  std::span<iovec> take(std::uint64_t length);

 private:
  std::span<iovec> rest_;
  std::uint64_t left_;
  std::vector<iovec> part_;
};

inline std::span<iovec> Cursor::take(std::uint64_t length) {
  if (length == left_) {
    left_ = 0;
    return std::exchange(rest_, {});
  }
  left_ -= length;
  part_.clear();
  while (length > 0) {
    iovec& front = rest_.front();
    if (front.iov_len <= length) {
      length -= front.iov_len;
      part_.push_back(front);
      rest_ = rest_.subspan(1);
    } else {
      part_.push_back({front.iov_base, static_cast<std::size_t>(length)});
      front = {static_cast<std::byte*>(front.iov_base) + length, front.iov_len - length};
      length = 0;
    }
  }
  return part_;
}

}  // namespace mote::storage
