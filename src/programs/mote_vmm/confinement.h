// Which system calls the monitor's threads may make: the machine thread less and less, the others
// what they need from their start on.
#pragma once

#include "base/result.h"
#include "machine/config.h"
#include "programs/mote_vmm/arguments.h"

namespace mote::vmm {

// Whether filters are in force where nobody wants it otherwise. A sanitizer makes calls of its own,
// which no table has, so its builds look at --seccomp-filter's file and go without.
#if __has_feature(address_sanitizer)
inline constexpr bool kHasFilters = false;
#else
inline constexpr bool kHasFilters = true;
#endif

// Makes the rules of files (file_rules.h) and takes the filters that the flags ask for: this thread
// gets the one for setting up, and threads that start later get theirs. Before there are any. An
// error: the file of --seccomp-filter is none or lacks a filter, or the kernel takes none.
Result<void> confine(const Arguments& arguments);

// The machine of `config` is made, and its guest has not run yet: what only setting up needs is
// given up. `served`: clients of an API may still ask for files.
Result<void> confine_further(const machine::VmConfig& config, bool served);

}  // namespace mote::vmm
