// `mote pool`: a directory in which there are always some shells (mote-vmm --shell), each a socket.
// Who wants one renames its socket to another directory of the same file system: whoever succeeds
// has it, and the pool makes another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace mote::engine {

struct PoolOptions {
  std::string directory;
  unsigned count = 4;
  unsigned vcpus = 1;  // of what is expected
  std::uint64_t mem_size_mib = 128;
};

// Keeps the pool until SIGTERM or SIGINT, and then ends the shells that nobody took. Errors: the
// directory cannot be used, a shell does not start.
Result<void> keep_pool(const PoolOptions& options);

// Takes a shell of the pool in `directory`, which somebody serves: its socket is at `socket` then.
// The path at which it was; nullopt: there is none. Errors: no such directory, or one of another
// file system.
Result<std::optional<std::string>> take_shell(const std::string& directory,
                                              const std::string& socket);

}  // namespace mote::engine
