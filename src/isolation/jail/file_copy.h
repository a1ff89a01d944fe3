// FileCopy fills a file with another's content, on a thread of its own and another processor: it
// takes about as long as the rest of what a jail takes.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>

#include "base/unique_fd.h"
#include "base/worker.h"

namespace mote::isolation::jail {

class FileCopy {
 public:
  FileCopy() = default;
  // Copies `size` bytes into `to`, an empty file. Shares blocks where the filesystem can.
  FileCopy(const UniqueFd& from, UniqueFd to, std::uint64_t size);
  FileCopy(const FileCopy&) = delete;
  FileCopy& operator=(const FileCopy&) = delete;

  // Waits until all is copied and the file is closed: nobody can execute a file that somebody may
  // write. The error of what could not be read or written.
  Result<void> wait();

 private:
  UniqueFd from_;
  UniqueFd to_;
  std::uint64_t size_ = 0;
  std::optional<Result<void>> done_ = {};
  std::unique_ptr<Worker> worker_;  // its end is waited for
};

}  // namespace mote::isolation::jail
