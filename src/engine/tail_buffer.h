// TailBuffer keeps the end of a stream that nobody looks at until something goes wrong.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mote::engine {

class TailBuffer {
 public:
  // Keeps `limit` bytes at most (more than 0).
  explicit TailBuffer(std::size_t limit) : limit_(limit) {}

  void append(std::span<const std::byte> bytes);
  // The last `count` whole lines, without what cannot be shown on a terminal.
  std::vector<std::string> last_lines(std::size_t count) const;
  // The lines that begin with `prefix`, cleaned likewise.
  std::vector<std::string> lines_with(std::string_view prefix) const;

 private:
  std::vector<std::string> lines() const;

  std::size_t limit_;
  std::string text_;
  bool cut_ = false;  // at its begin
};

}  // namespace mote::engine
