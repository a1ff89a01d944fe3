// mote-vmm's command line, by Firecracker's rules: every flag is long, a value is the next
// argument, and nothing may be given twice. One table has the flags; parsing and --help come from
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/firecracker/logger.h"
#include "base/result.h"

namespace mote::vmm {

struct Arguments {
  bool help = false;     // print help(), exit 0; nothing else was looked at
  bool version = false;  // print version(), exit 0; likewise
  bool no_api = false;
  bool boot_timer = false;
  bool no_seccomp = false;
  std::optional<std::string> seccomp_filter = {};
  // Print the format of state files, or of the one that is named, and exit.
  bool snapshot_version = false;
  std::optional<std::string> describe_snapshot = {};
  std::vector<std::string> allow_path = {};  // what the process may open; empty: see file_rules.h
  std::optional<std::string> config_file = {};
  // A snapshot or a fork to go on from: for api::firecracker::read_load(), and the descriptors of a
  // backend_type Descriptors.
  std::optional<std::string> load = {};
  std::vector<int> load_fd = {};
  std::string id = "anonymous-instance";
  // The API.
  std::string api_sock = "/run/firecracker.socket";
  std::uint64_t http_api_max_payload_size = 51200;  // bytes of a request's body
  // The metadata service.
  std::optional<std::string> metadata = {};
  std::optional<std::uint64_t> mmds_size_limit = {};  // bytes; as large as a request's body
  // When the process was started, for the metrics: CLOCK_MONOTONIC, its own CPU time, and what
  // those who started it had used, in microseconds.
  std::optional<std::uint64_t> start_time_us = {};
  std::optional<std::uint64_t> start_time_cpu_us = {};
  std::optional<std::uint64_t> parent_cpu_time_us = {};
  // The log.
  std::optional<std::string> level = {};
  std::optional<std::string> log_path = {};
  std::optional<std::string> module = {};
  std::optional<std::string> metrics_path = {};
  bool show_level = false;
  bool show_log_origin = false;
  // Our own.
  bool die_with_parent = false;
  // Makes ahead what a load needs, for machines of so many processors and so much memory.
  bool shell = false;
  std::optional<std::uint64_t> shell_vcpu_count = {};
  std::optional<std::uint64_t> shell_mem_size_mib = {};
  bool no_pit = false;
  bool exit_port = false;
  bool stdio_uart = false;
  std::optional<int> console_fd = {};
  std::optional<int> end_fd = {};
  // Be no monitor but become some, asked at this socket: zygote.h.
  std::optional<int> zygote_fd = {};
};

// Reads the arguments after the program's name. An error means kExitBadArguments: an unknown flag,
// one that is not built yet, one given twice, a value that is missing, wrong or too many, or flags
// that do not go together. As with Firecracker, --help before --version and either before any other
// flag, and what follows `--` is not looked at.
Result<Arguments> parse(std::span<const char* const> arguments);

// The most bytes that the data of the metadata service may have.
std::uint64_t metadata_limit(const Arguments& arguments);

// What the flags say of the log, for api::firecracker::apply(). An error (of --level) means
// kExitBadConfiguration.
Result<api::firecracker::LoggerConfig> logger_config(const Arguments& arguments);

// The program and version whose behaviour this is when it is started (`argv0`) under that name,
// else empty.
std::string_view acts_as(std::string_view argv0);

// The text of --help and of --version, each with a line feed at its end. Tools tell what a monitor
// can do by the first line: of a program that is started (`argv0`) under the name `firecracker`, it
// names the version of Firecracker whose behaviour this is; mote's own follows.
std::string help(std::string_view argv0);
std::string version(std::string_view argv0);

}  // namespace mote::vmm
