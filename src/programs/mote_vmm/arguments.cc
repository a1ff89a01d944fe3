#include "programs/mote_vmm/arguments.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "machine/config.h"
#include "programs/flags.h"

namespace mote::vmm {
namespace {

constexpr std::string_view kFirecracker = "Firecracker v1.17.0";

// A flag that Firecracker has and mote-vmm not yet.
struct Unbuilt {};

using Target =
    std::variant<bool Arguments::*, std::string Arguments::*, std::uint64_t Arguments::*,
                 std::optional<std::string> Arguments::*, std::optional<int> Arguments::*,
                 std::optional<std::uint64_t> Arguments::*, std::vector<std::string> Arguments::*,
                 std::vector<int> Arguments::*, Unbuilt>;

struct Flag {
  std::string_view name;
  std::string_view value;  // what its value is called in the help; empty where it takes none
  std::string_view help;
  Target target;
  bool many = false;
};

constexpr std::array kFlags{
    Flag{"--api-sock", "PATH", "The API's Unix socket (default: /run/firecracker.socket).",
         &Arguments::api_sock},
    Flag{"--no-api", "", "Serve no API; the machine comes from --config-file.", &Arguments::no_api},
    Flag{"--config-file", "FILE", "The machine, as JSON in Firecracker's form.",
         &Arguments::config_file},
    Flag{"--load", "LOAD", "Go on from a snapshot: the body of PUT /snapshot/load, or its file.",
         &Arguments::load},
    Flag{"--load-fd", "N", "A descriptor for it: first the state's, then those of memory.",
         &Arguments::load_fd, true},
    Flag{"--id", "ID", "Name of the microVM in the log (default: anonymous-instance).",
         &Arguments::id},
    Flag{"--http-api-max-payload-size", "N", "Most bytes of a request's body (default: 51200).",
         &Arguments::http_api_max_payload_size},
    Flag{"--metadata", "FILE", "Data of the metadata service, as JSON.", &Arguments::metadata},
    Flag{"--mmds-size-limit", "N", "Most bytes of that data (default: as a request's body).",
         &Arguments::mmds_size_limit},
    Flag{"--boot-timer", "", "Give the guest a device that logs how long it took to boot.",
         &Arguments::boot_timer},
    Flag{"--no-seccomp", "", "Run without filters of system calls; for debugging.",
         &Arguments::no_seccomp},
    Flag{"--seccomp-filter", "FILE", "Filters of system calls, as mote seccomp compile makes.",
         &Arguments::seccomp_filter},
    Flag{"--level", "LEVEL", "Least level that is logged: Off, Error, Warning, Info, Debug, Trace.",
         &Arguments::level},
    Flag{"--log-path", "FILE", "Append the log to a file or FIFO instead of standard output.",
         &Arguments::log_path},
    Flag{"--module", "PREFIX", "Log only what comes from modules whose names begin so.",
         &Arguments::module},
    Flag{"--show-level", "", "Put the level into each line of the log.", &Arguments::show_level},
    Flag{"--show-log-origin", "", "Put the source file and line into each line of the log.",
         &Arguments::show_log_origin},
    Flag{"--start-time-us", "N",
         "CLOCK_MONOTONIC when the process was started, in us, for metrics.",
         &Arguments::start_time_us},
    Flag{"--start-time-cpu-us", "N", "CPU time of the process at that time, in us.",
         &Arguments::start_time_cpu_us},
    Flag{"--parent-cpu-time-us", "N", "CPU time of those who started it, in us.",
         &Arguments::parent_cpu_time_us},
    Flag{"--metrics-path", "FILE", "Append a line of metrics to a file or FIFO each minute.",
         &Arguments::metrics_path},
    Flag{"--snapshot-version", "", "Print the format of the state files that this program writes.",
         &Arguments::snapshot_version},
    Flag{"--describe-snapshot", "FILE", "Print the format of a snapshot's state file.",
         &Arguments::describe_snapshot},
    Flag{"--allow-path", "PATH",
         "Reach no file but PATH and what lies below it; may be given again.",
         &Arguments::allow_path, true},
    Flag{"--die-with-parent", "", "Be killed when the process that started this one ends.",
         &Arguments::die_with_parent},
    Flag{"--shell", "", "Make ahead what a snapshot or a fork is loaded into.", &Arguments::shell},
    Flag{"--shell-vcpu-count", "N", "Processors of what is expected in a shell (default: 1).",
         &Arguments::shell_vcpu_count},
    Flag{"--shell-mem-size-mib", "N", "Memory of what is expected in a shell (default: 128).",
         &Arguments::shell_mem_size_mib},
    Flag{"--no-pit", "", "Give the guest no PIT: it knows the rate of its clocks without.",
         &Arguments::no_pit},
    Flag{"--exit-port", "", "Port 0x501: a byte written there ends the VM with that status.",
         &Arguments::exit_port},
    Flag{"--stdio-uart", "", "A second UART (0x2f8, IRQ 3) on standard input and output.",
         &Arguments::stdio_uart},
    Flag{"--console-fd", "N", "Send the output of the first UART to descriptor N.",
         &Arguments::console_fd},
    Flag{"--end-fd", "N", "Write one line of JSON to descriptor N when the VM ends.",
         &Arguments::end_fd},
    Flag{"--zygote-fd", "N", "Become the monitors that are asked for at the socket N.",
         &Arguments::zygote_fd},
    Flag{"--version", "", "Print the version.", &Arguments::version},
    Flag{"--help", "", "Print this text (also -h).", &Arguments::help},
    Flag{"--enable-pci", "", "", Unbuilt{}},
};

using List = std::vector<std::string_view>;

bool has(const List& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

template <typename... Args>
std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorKind::kInvalid, format, std::forward<Args>(args)...);
}

Result<int> descriptor(std::string_view text) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    return refuse("{} is no descriptor; it must be a number from 0 to {}", json::quote(text),
                  std::numeric_limits<int>::max());
  }
  return number;
}

// Sets what a flag stands for; `value` is empty where it takes none.
struct Set {
  const Flag& flag;
  std::string_view value;
  Arguments& into;

  Result<void> operator()(bool Arguments::* target) const {
    into.*target = true;
    return {};
  }
  Result<void> operator()(std::string Arguments::* target) const {
    into.*target = std::string(value);
    return {};
  }
  Result<void> operator()(std::optional<std::string> Arguments::* target) const {
    into.*target = std::string(value);
    return {};
  }
  Result<void> operator()(std::vector<std::string> Arguments::* target) const {
    (into.*target).emplace_back(value);
    return {};
  }
  Result<void> operator()(std::optional<int> Arguments::* target) const {
    return take(descriptor(value), into.*target);
  }
  Result<void> operator()(std::vector<int> Arguments::* target) const {
    return take(descriptor(value), (into.*target).emplace_back());
  }
  Result<void> operator()(std::uint64_t Arguments::* target) const {
    return take(read_number(value), into.*target);
  }
  Result<void> operator()(std::optional<std::uint64_t> Arguments::* target) const {
    return take(read_number(value), into.*target);
  }
  Result<void> operator()(Unbuilt) const {
    return fail(ErrorKind::kUnsupported, "{} is not built yet; --help lists the flags that are",
                flag.name);
  }

  template <typename Number, typename Into>
  Result<void> take(Result<Number> read, Into& target) const {
    if (!read) return std::unexpected(std::move(read.error()).within(std::string(flag.name)));
    target = *read;
    return {};
  }
};

Result<Arguments> parse_flags(const List& list) {
  Arguments parsed;
  MOTE_CHECK(read_flags(list, kFlags, "mote-vmm", [&](const Flag& flag, std::string_view value) {
    return std::visit(Set{flag, value, parsed}, flag.target);
  }));
  return parsed;
}

Result<void> check_shell(const Arguments& arguments) {
  if (!arguments.shell) {
    if (!arguments.shell_vcpu_count && !arguments.shell_mem_size_mib) return {};
    return refuse("{} lacks --shell, of which it says what is expected",
                  arguments.shell_vcpu_count ? "--shell-vcpu-count" : "--shell-mem-size-mib");
  }
  if (arguments.no_api || arguments.config_file || arguments.load) {
    return refuse("--shell waits for a load through the API: it does not go with {}",
                  arguments.no_api        ? "--no-api"
                  : arguments.config_file ? "--config-file"
                                          : "--load");
  }
  const std::uint64_t vcpus = arguments.shell_vcpu_count.value_or(1);
  const std::uint64_t mib = arguments.shell_mem_size_mib.value_or(128);
  if (vcpus < 1 || vcpus > machine::kMaxVcpus) {
    return refuse("--shell-vcpu-count is {}; it must be from 1 to {}", vcpus, machine::kMaxVcpus);
  }
  if (mib < 1 || mib > machine::kMaxShellMib) {
    return refuse("--shell-mem-size-mib is {}; it must be from 1 to {}", mib,
                  machine::kMaxShellMib);
  }
  return {};
}

Result<void> check_load(const Arguments& arguments) {
  if (arguments.load && arguments.config_file) {
    return refuse(
        "--load and --config-file contradict each other: a snapshot has its configuration");
  }
  if (!arguments.load && !arguments.load_fd.empty()) {
    return refuse("--load-fd lacks --load, whose backend_type Descriptors takes descriptors");
  }
  for (auto it = arguments.load_fd.begin(); it != arguments.load_fd.end(); ++it) {
    if (*it <= 2) return refuse("--load-fd is {}, which is one of the standard streams", *it);
    if (std::find(arguments.load_fd.begin(), it, *it) != it || arguments.console_fd == *it ||
        arguments.end_fd == *it) {
      return refuse("--load-fd is {}, as is another flag; each must have its own descriptor", *it);
    }
  }
  return {};
}

Result<void> check_together(const Arguments& arguments) {
  MOTE_CHECK(check_id(arguments.id));
  if (arguments.no_api && !arguments.config_file && !arguments.load) {
    return refuse(
        "--no-api lacks --config-file FILE, which says what machine to run, or --load LOAD");
  }
  if (arguments.no_seccomp && arguments.seccomp_filter) {
    return refuse("--no-seccomp and --seccomp-filter contradict each other; give one of them");
  }
  if (arguments.console_fd && arguments.console_fd == arguments.end_fd) {
    return refuse("--console-fd and --end-fd are both {}; each must have its own descriptor",
                  *arguments.end_fd);
  }
  MOTE_CHECK(check_load(arguments));
  return check_shell(arguments);
}

}  // namespace

Result<Arguments> parse(std::span<const char* const> arguments) {
  List list(arguments.begin(), arguments.end());
  list.erase(std::ranges::find(list, "--"), list.end());
  Arguments alone;
  alone.help = has(list, "--help") || has(list, "-h");
  alone.version = !alone.help && has(list, "--version");
  if (alone.help || alone.version) return alone;
  MOTE_TRY(Arguments parsed, parse_flags(list));
  if (parsed.zygote_fd && list.size() > 2) {
    return refuse("--zygote-fd goes with no other flag: what is asked for has flags of its own");
  }
  MOTE_CHECK(check_together(parsed));
  return parsed;
}

std::uint64_t metadata_limit(const Arguments& arguments) {
  return arguments.mmds_size_limit.value_or(arguments.http_api_max_payload_size);
}

Result<api::firecracker::LoggerConfig> logger_config(const Arguments& arguments) {
  api::firecracker::LoggerConfig config;
  config.log_path = arguments.log_path;
  config.level = arguments.level;
  config.module = arguments.module;
  if (arguments.show_level) config.show_level = true;
  if (arguments.show_log_origin) config.show_log_origin = true;
  MOTE_CHECK_WITHIN(check(config), "the flags of the log");
  return config;
}

std::string_view acts_as(std::string_view argv0) {
  return argv0.substr(argv0.rfind('/') + 1) == "firecracker" ? kFirecracker : "";
}

std::string version(std::string_view argv0) {
  const std::string_view name = acts_as(argv0);
  return fmt::format("{}{}mote-vmm v{}\n", name, name.empty() ? "" : "\n", MOTE_VERSION);
}

std::string help(std::string_view argv0) {
  std::string text = version(argv0);
  text +=
      "Runs one microVM.\n\n"
      "Usage: mote-vmm [--api-sock PATH] [--config-file FILE] [FLAG...]\n"
      "       mote-vmm --no-api --config-file FILE [FLAG...]\n"
      "       mote-vmm [--no-api] --load LOAD [FLAG...]\n\n"
      "Flags:\n";
  std::string unbuilt;
  for (const Flag& flag : kFlags) {
    if (std::holds_alternative<Unbuilt>(flag.target)) {
      unbuilt += fmt::format("  {}\n", flag.name);
      continue;
    }
    const std::string left =
        flag.value.empty() ? std::string(flag.name) : fmt::format("{} {}", flag.name, flag.value);
    text += fmt::format("  {:<30}{}\n", left, flag.help);
  }
  text += "\nFlags of Firecracker that are not built yet, and so refused:\n" + unbuilt;
  text +=
      "\nExit status: the guest's own (0 for a reset or power-off); 1 failed; 152 a --level that "
      "is\n"
      "none; 153 wrong arguments; ended by SIGTERM or SIGINT, that signal; by another, 148 "
      "SIGSYS,\n"
      "149 SIGBUS, 150 SIGSEGV, 151 SIGXFSZ, 154 SIGXCPU, 156 SIGHUP, 157 SIGILL.\n";
  return text;
}

}  // namespace mote::vmm
