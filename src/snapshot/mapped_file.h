// A memory file that a machine's memory was mapped of, privately, must stay as it is: what the
// guest has not touched yet is read from there. Whether it did is told by its length and by the
// time of its last change.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::snapshot {

class MappedFile {
 public:
  // `facts`: what look_at() says of it, before it is mapped.
  MappedFile(std::shared_ptr<const UniqueFd> file, const struct stat& facts);

  // An error (kState) when it was cut or written to since: guest memory is not what was saved.
  // Whoever only touches it, which cannot be told apart, has written.
  Result<void> check() const;

 private:
  std::shared_ptr<const UniqueFd> file_;
  off_t size_;
  timespec changed_;
};

}  // namespace mote::snapshot
