// Landlock: what of the host a thread may still reach by name, as landlock(7) has it. Descriptors
// that are open stay as they are.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::isolation {

// The version of landlock that this kernel has; 0: none.
int landlock_abi();

// What a thread may do with a file that it names.
enum class Reach : std::uint8_t {
  kUse,  // read, write and, of a device, control it; below a directory also list, make and remove
  kUnlink,  // of a directory: remove files that lie in it
};

// A set of rules. All that landlock knows is forbidden at first: files to open, make, move and
// remove, and, as far as the kernel's version goes, TCP (4), control of devices (5), abstract
// sockets and signals to processes outside (6).
class Landlock {
 public:
  // Errors: kUnsupported: the kernel has no landlock.
  static Result<Landlock> create() { return create(landlock_abi()); }
  // As on a kernel of version `abi`, at most this kernel's.
  static Result<Landlock> create(int abi);
  // Forbids TCP, abstract sockets and signals alone, and leaves files as they are. Of version
  // `abi`, at least 4.
  static Result<Landlock> create_without_files(int abi);

  // Allows `path`, and, where it is a directory, what lies below it. A link is followed. Errors
  // name it: it is not there, or is a link to nothing; kUnlink of what is no directory.
  Result<void> allow(const std::string& path, Reach reach = Reach::kUse);
  // Holds this thread, and those that it makes from then on, to the rules, for good: privileges
  // cannot be gained any more either (PR_SET_NO_NEW_PRIVS). Each thread may enter.
  Result<void> enter() const;

  int abi() const { return abi_; }

 private:
  static Result<Landlock> make(std::uint64_t files, int abi);
  Landlock(UniqueFd rules, int abi) : rules_(std::move(rules)), abi_(abi) {}

  UniqueFd rules_;
  int abi_;
};

}  // namespace mote::isolation
