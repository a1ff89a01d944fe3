// UniqueFd owns one file descriptor, and small wrappers read and write it without hiding what
// happened.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"

namespace mote {

class UniqueFd {
 public:
  UniqueFd() = default;
  // Takes ownership of `fd`; -1 is the empty state.
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  // Gives up ownership.
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

  // A second descriptor of the same open file, close-on-exec.
  Result<UniqueFd> duplicate() const;

 private:
  int fd_ = -1;
};

// Opens `path` with `flags` | O_CLOEXEC. The error names the path.
Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode = 0);

// How many descriptors this process may have from now on: where fewer than `least` are allowed
// (RLIMIT_NOFILE), as many as its hard limit lets it have.
std::uint64_t allow_descriptors(std::uint64_t least);

// An eventfd, non-blocking and close-on-exec.
Result<UniqueFd> make_eventfd(unsigned initial = 0);

// One read, restarted on EINTR: bytes read (0 at the end of the file), or nullopt where it would
// block.
Result<std::optional<std::size_t>> read_some(int fd, std::span<std::byte> into);
// One write(2), restarted on EINTR: bytes written, or nullopt where it would block.
Result<std::optional<std::size_t>> write_some(int fd, std::span<const std::byte> from);

// Reads until `into` is full or the file ends; returns the bytes read.
Result<std::size_t> read_at(int fd, std::span<std::byte> into, std::uint64_t offset);
// Writes until all of `from` is written.
Result<void> write_at(int fd, std::span<const std::byte> from, std::uint64_t offset);
// write(2) until all is written; meant for blocking descriptors.
Result<void> write_all(int fd, std::span<const std::byte> from);
// Reads to the end of the file; an error when there is more than `limit` bytes.
Result<std::string> read_all(int fd, std::size_t limit);

// Adds 1 to an eventfd. Never blocks: a counter at its limit is already readable.
void signal_eventfd(int fd);
// Takes the count of an eventfd; 0 when nothing is there.
std::uint64_t drain_eventfd(int fd);

}  // namespace mote
