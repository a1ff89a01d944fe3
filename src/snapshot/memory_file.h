// The file of guest memory: its regions one behind the other, RAM first, as Firecracker has it.
// What is zero is a hole, so that a guest's file takes the room of what it used.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::snapshot {

// A region of guest memory in the file. Where it lies there follows from those before it.
struct MemoryPart {
  std::uint64_t start = 0;  // guest-physical
  std::uint64_t size = 0;   // bytes
};
BOOST_DESCRIBE_STRUCT(MemoryPart, (), (start, size))

// Called between two pieces of long work on a file, each of some milliseconds, so that its thread
// can do others' work as well. An error ends the work with it. Null: nothing is to be done.
using Between = std::function<Result<void>()>;

std::vector<MemoryPart> parts_of(const memory::GuestMemory& memory);
// The bytes of a file of these parts.
std::uint64_t size_of(const std::vector<MemoryPart>& parts);

// Writes all of `memory`, whose guest is paused, into `fd`, an empty file, each page once and none
// that is zero. It takes no memory: pages that were never touched stay so where the host can tell.
Result<void> write_memory(const memory::GuestMemory& memory, int fd, const Between& between = {});

// Writes what of `memory`, whose guest is paused, has become another since it was last clean into
// `fd`, zeros too: laid over the file of before, it is what write_memory() would write. Where pages
// are tracked that is what they say. Else it is what is this process's own: since it made the
// memory, or loaded it.
Result<void> write_changes(const memory::GuestMemory& memory, int fd, const Between& between = {});

// Lays the file of changes `diff` over the memory file `base`: what `diff` has, holes apart.
Result<void> lay_over(int diff, int base, const Between& between = {});

// Makes `fd`, an empty file, a copy of `from`, holes included; without a copy of the data where the
// file system can share it.
Result<void> copy_file(int from, int fd, const Between& between = {});

}  // namespace mote::snapshot
