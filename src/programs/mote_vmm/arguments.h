// mote-vmm's command line, by Firecracker's rules: every flag is long, a value is the next
// argument, and nothing may be given twice. One table has the flags; parsing and --help come from
// it.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "api/firecracker/logger.h"
#include "base/result.h"

namespace mote::vmm {

struct Arguments {
  bool help = false;     // print help(), exit 0; nothing else was looked at
  bool version = false;  // print version(), exit 0; likewise
  bool no_api = false;
  bool boot_timer = false;
  bool no_seccomp = false;
  std::optional<std::string> config_file = {};
  std::string id = "anonymous-instance";
  std::optional<std::string> metadata = {};
  // The log.
  std::optional<std::string> level = {};
  std::optional<std::string> log_path = {};
  std::optional<std::string> module = {};
  bool show_level = false;
  bool show_log_origin = false;
  // Our own.
  bool exit_port = false;
  bool stdio_uart = false;
  std::optional<int> console_fd = {};
  std::optional<int> end_fd = {};
};

// Reads the arguments after the program's name. An error means kExitBadArguments: an unknown flag,
// one that is not built yet, one given twice, a value that is missing, wrong or too many, or flags
// that do not go together. As with Firecracker, --help before --version and either before any other
// flag, and what follows `--` is not looked at.
Result<Arguments> parse(std::span<const char* const> arguments);

// What the flags say of the log, for api::firecracker::apply(). An error (of --level) means
// kExitBadConfiguration.
Result<api::firecracker::LoggerConfig> logger_config(const Arguments& arguments);

// The text of --help and of --version, each with a line feed at its end.
std::string help();
std::string version();

}  // namespace mote::vmm
