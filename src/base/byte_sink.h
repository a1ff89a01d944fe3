// ByteSink is where the output of a serial port or console goes. FdSink is one that writes to a
// descriptor and never waits for whoever reads it.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Takes bytes from the front of `bytes` without waiting; returns how many. Fewer than all when
  // there is no room now. An error when nobody will ever take them. Called by one thread at a time.
  virtual Result<std::size_t> write(std::span<const std::byte> bytes) = 0;
};

// Takes everything and keeps nothing.
class NullSink final : public ByteSink {
 public:
  Result<std::size_t> write(std::span<const std::byte> bytes) override { return bytes.size(); }
};

class FdSink final : public ByteSink {
 public:
  // Writes to `fd`, which stays the caller's and open. Its flags, which other processes may share,
  // are left alone. SIGPIPE must be ignored in the process.
  static Result<FdSink> create(int fd);

  Result<std::size_t> write(std::span<const std::byte> bytes) override;

 private:
  enum class Way {
    kPlain,   // a regular file, the null device, or an open file of our own that is non-blocking
    kNoWait,  // a pipe: each write is told not to wait
    kSocket,  // send(2), which can be told not to wait
    kAsk,     // poll(2) first: the open file is shared and may wait
  };
  FdSink(int fd, Way way, UniqueFd own) : fd_(fd), way_(way), own_(std::move(own)) {}

  int fd_;
  Way way_;
  UniqueFd own_;
};

}  // namespace mote
