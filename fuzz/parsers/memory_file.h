// The host's file that an image lies in, in memory.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "fuzz/target.h"
#include "storage/image_file.h"

namespace mote::fuzz {

inline constexpr std::uint64_t kMostFile = 1 << 20;

class MemoryFile final : public storage::ImageFile {
 public:
  explicit MemoryFile(std::string bytes) : bytes_(std::move(bytes)) {}

  const std::string& bytes() const { return bytes_; }
  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read(std::span<iovec> buffers, std::uint64_t offset) override {
    for (const iovec& buffer : buffers) {
      if (buffer.iov_len == 0) continue;
      const std::uint64_t here =
          offset < bytes_.size() ? std::min<std::uint64_t>(buffer.iov_len, bytes_.size() - offset)
                                 : 0;
      std::memset(buffer.iov_base, 0, buffer.iov_len);
      if (here > 0) std::memcpy(buffer.iov_base, bytes_.data() + offset, here);
      offset += buffer.iov_len;
    }
    return {};
  }
  Result<void> write(std::span<iovec> buffers, std::uint64_t offset) override {
    for (const iovec& buffer : buffers) {
      if (buffer.iov_len == 0) continue;
      require(offset <= UINT64_MAX - buffer.iov_len, "a write has an end");
      MOTE_CHECK(grow(offset + buffer.iov_len));
      std::memcpy(bytes_.data() + offset, buffer.iov_base, buffer.iov_len);
      offset += buffer.iov_len;
    }
    return {};
  }
  Result<void> sync() override { return {}; }
  Result<void> grow(std::uint64_t size) override {
    if (size > kMostFile) return fail(ErrorKind::kResource, "the disk is full");
    if (size > bytes_.size()) bytes_.resize(size);
    return {};
  }
  bool punch(std::uint64_t offset, std::uint64_t length) override {
    if (offset > bytes_.size() || length > bytes_.size() - offset) return false;
    std::memset(bytes_.data() + offset, 0, length);
    return true;
  }

 private:
  std::string bytes_;
};

}  // namespace mote::fuzz
