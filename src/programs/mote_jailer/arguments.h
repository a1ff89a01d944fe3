// mote-jailer's command line: Firecracker's jailer flags, and some of its own. One table has the
// flags; parsing and --help come from it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "isolation/jail/request.h"

namespace mote::jailer {

struct Arguments {
  bool help = false;     // print help(), exit 0; nothing else was looked at
  bool version = false;  // print version(), exit 0; likewise
  bool cleanup = false;  // remove the jail; of `jail`, id, base and what is given
  isolation::jail::Request jail = {};
};

// Reads the arguments after the program's name; what follows the first `--` is the monitor's.
// Errors: an unknown flag, one given twice (but --cgroup and --resource-limit, which may be), one
// that is missing, a value that is missing or wrong, flags that do not go together.
Result<Arguments> parse(std::span<const char* const> arguments);

// The text of --help and of --version, each with a line feed at its end. Of a program that is
// started
// (`argv0`) under the name `jailer`, the first line is that of Firecracker's jailer whose behaviour
// this is.
std::string help(std::string_view argv0);
std::string version(std::string_view argv0);

}  // namespace mote::jailer
