// What of memory was mapped and is not used any more is put aside, and taken down later: that takes
// the host time for each page.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include "base/mapped_memory.h"

namespace mote::memory {

class Aside {
 public:
  // Leaves at `memory`, a mapping of a shared file, the same mapping with no page of it present:
  // what was present is put aside. Takes a moment for each 2 MiB, or each GiB where `memory` begins
  // at a multiple. Does nothing where the kernel cannot (before Linux 5.13).
  void put(std::span<std::byte> memory);
  // Takes some of it down, for about `time`, which may be 0; true when there is more.
  bool drop(std::chrono::nanoseconds time);

 private:
  std::vector<MappedMemory> mappings_;
};

}  // namespace mote::memory
