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

// Makes the rules of files (file_rules.h) and gets the filters ready that the flags ask for:
// threads that start later get theirs. Before there are any. An error: the file of --seccomp-filter
// is none or lacks a filter.
Result<void> confine(const Arguments& arguments);

// This thread, and what starts from it, does no more than setting up needs: before it looks at what
// a file of the configuration says, and before a client of the API is listened to. An error: the
// kernel takes no filter. `served`: there is an API, whose clients may load a snapshot.
Result<void> confine_for_setup(bool served);

// The machine of `config` is made, and its guest has not run yet: what only setting up needs is
// given up. `served`: clients of an API may still ask for files.
Result<void> confine_further(const machine::VmConfig& config, bool served);

}  // namespace mote::vmm
