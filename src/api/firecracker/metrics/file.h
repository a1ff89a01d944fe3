// The file or FIFO that lines of metrics go to. A line is written whole or not at all, and nobody
// waits for whoever reads it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::api::firecracker {

class MetricsFile {
 public:
  // Opens `path`, which is appended to, and made with mode 0644 where it is not there. A FIFO need
  // not have a reader.
  static Result<MetricsFile> open(const std::string& path);

  // Writes `line`, with the line feed at its end. False: it has no room for it, or the host has
  // failed. It may be called from a signal's handler.
  bool write(std::string_view line);

 private:
  MetricsFile(UniqueFd fd, bool fifo) : fd_(std::move(fd)), fifo_(fifo) {}
  // Whether a FIFO takes `size` bytes in one piece.
  bool has_room(std::size_t size) const;

  UniqueFd fd_;
  bool fifo_ = false;
  bool torn_ = false;  // the file's last line has no end
};

}  // namespace mote::api::firecracker
