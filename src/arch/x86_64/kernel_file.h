// A kernel's file as its loaders see it: a descriptor and the size that it had at first, against
// which offsets are checked before anything is read.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace mote::arch {

struct KernelFile {
  int fd = -1;
  std::uint64_t size = 0;

  // Whether [offset, offset + length) lies in the file.
  bool holds(std::uint64_t offset, std::uint64_t length) const {
    return offset <= size && length <= size - offset;
  }
  // Reads all of `into`; `what` names it in errors.
  Result<void> read(std::uint64_t offset, std::span<std::byte> into, std::string_view what) const;
};

}  // namespace mote::arch
