// What mote tells a guest's first process, mote-init: a list of records, and the initramfs that
// carries it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/root_image.h"

namespace mote::engine {

// The terminal that the command is to have.
struct Terminal {
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
  std::string term;  // TERM; empty: mote-init's default
};

struct GuestConfig {
  std::vector<std::string> command;      // at least the program
  std::vector<std::string> environment;  // NAME=VALUE
  std::optional<std::string> workdir;    // absolute
  std::optional<std::string> hostname;
  FileSystem root = FileSystem::kErofs;  // of /dev/vda
  std::optional<Terminal> terminal;      // absent: pipes
  std::uint64_t time_ns = 0;             // since 1970, at launch
};

// Whether each value is one that mote-init takes. The error names the option of `mote run`.
Result<void> check(const GuestConfig& config);

// The records that mote-init reads: `key=value`, each ended by a NUL.
std::string guest_records(const GuestConfig& config);

// An initramfs of mote-init, whose file is `init_program`, and its configuration.
std::string make_initramfs(std::string_view init_program, const GuestConfig& config);

}  // namespace mote::engine
