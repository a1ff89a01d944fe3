// Where things lie that mote needs: its own programs, the cache, the guest's kernel.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"

namespace mote::engine {

// Gives an environment variable's value; nullopt or "" when it is not set.
using Environment = std::function<std::optional<std::string>(const char* name)>;
std::optional<std::string> process_environment(const char* name);

// A program that was built along with this one (mote-vmm, mote-init): beside it. The error says how
// to build it.
Result<std::string> sibling_program(const std::string& name);

// The directory of what is slow to make: MOTE_CACHE, else mote/ under XDG_CACHE_HOME or ~/.cache.
std::string cache_directory(const Environment& environment);

// The kernel of guests whose user names none: MOTE_KERNEL, else the cache's `default-kernel`, else
// the newest one that guest/kernel/build has put into the cache.
Result<std::string> default_kernel(const Environment& environment);

}  // namespace mote::engine
