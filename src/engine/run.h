// `mote run`: a command in a microVM of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/session.h"

namespace mote::engine {

inline constexpr std::uint32_t kMaxCpus = 32;
inline constexpr std::uint64_t kLeastMemory = std::uint64_t{32} << 20;

struct RunOptions {
  std::string rootfs;                               // a directory or an image
  std::optional<std::string> kernel;                // absent: default_kernel()
  std::uint32_t cpus = 1;                           // 1 to kMaxCpus
  std::uint64_t memory = std::uint64_t{512} << 20;  // bytes, whole MiB, kLeastMemory at least
  std::vector<std::string> environment;
  std::optional<std::string> workdir;
  std::optional<std::string> hostname;
  std::string kernel_arguments;
  bool console = false;  // show the guest's console on standard error
  std::vector<std::string> command;
};

// Runs the command to its end, with this process's standard streams. An error: nothing was started.
Result<Outcome> run(const RunOptions& options);

}  // namespace mote::engine
