// mote-vmm: one microVM, from a configuration file.
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <span>

#include "api/firecracker/config_file.h"
#include "base/log.h"
#include "programs/mote_vmm/arguments.h"
#include "programs/mote_vmm/monitor.h"
#include "programs/mote_vmm/signals.h"

namespace mote::vmm {
namespace {

int refuse(int status, const Error& error) {
  fmt::print(stderr, "mote-vmm: {}\n", error.text());
  log::error("{}", error.text());
  return status;
}

// A descriptor that a flag names, which has to be open and is not for children.
Result<void> take_descriptor(const char* flag, std::optional<int> fd) {
  if (!fd || ::fcntl(*fd, F_SETFD, FD_CLOEXEC) == 0) return {};
  return fail_errno(errno, "{} {}: no such descriptor is open", flag, *fd);
}

// The standard streams are the first serial port's as Firecracker has it, unless they are the
// command's, which has the second, or a console's. An error: they are asked for twice.
Result<void> wire_streams(const Arguments& arguments, MonitorSettings& settings) {
  machine::BoardOptions& board = settings.board;
  const auto& console = settings.config.console;
  const bool console_has_them = console && virtio::uses_stdio(*console);
  if (arguments.stdio_uart && console_has_them) {
    return fail(ErrorKind::kInvalid,
                "console: a port has the mode Stdio, and --stdio-uart gives the standard streams "
                "to the second serial port; use one of the two");
  }
  if (!arguments.stdio_uart && !console_has_them) {
    board.com1 = {.input = STDIN_FILENO, .output = arguments.console_fd.value_or(STDOUT_FILENO)};
    settings.terminal = STDIN_FILENO;
    return {};
  }
  board.com1.output = arguments.console_fd.value_or(-1);
  if (console_has_them) {
    settings.terminal = STDIN_FILENO;
    return {};
  }
  // Whoever wired the second port to the streams has made of a terminal what it wants.
  board.com2 =
      machine::SerialLine{.input = STDIN_FILENO, .output = STDOUT_FILENO, .flow_control = true};
  return {};
}

void log_to_standard_error() {
  log::set_sink(UniqueFd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)));
}

// The log goes to standard output as Firecracker's does, unless that is the guest's command's. 0,
// or what to exit with.
int set_up_log(const Arguments& arguments) {
  log::configure({.id = arguments.id});
  if (arguments.stdio_uart) log_to_standard_error();
  const auto config = logger_config(arguments);
  if (!config) return refuse(kExitBadConfiguration, config.error());
  const auto done = api::firecracker::apply(*config);
  return done ? kExitOk : refuse(kExitError, done.error());
}

int run(std::span<const char* const> words, devices::BootTimer::Start start) {
  const auto arguments = parse(words);
  if (!arguments) return refuse(kExitBadArguments, arguments.error());
  if (arguments->help || arguments->version) {
    fmt::print("{}", arguments->help ? help() : version());
    return kExitOk;
  }
  if (const int status = set_up_log(*arguments); status != kExitOk) return status;
  for (const auto& [flag, fd] : {std::pair{"--console-fd", arguments->console_fd},
                                 std::pair{"--end-fd", arguments->end_fd}}) {
    if (auto open = take_descriptor(flag, fd); !open)
      return refuse(kExitBadArguments, open.error());
  }
  auto file = api::firecracker::read_config_file(*arguments->config_file);
  if (!file) return refuse(kExitError, file.error());
  MonitorSettings settings;
  settings.config = std::move(file->vm);
  if (auto wired = wire_streams(*arguments, settings); !wired) {
    return refuse(kExitError, wired.error());
  }
  // Before the section `logger`, which may name a file.
  const auto& console = settings.config.console;
  if (console && virtio::uses_stdio(*console) && !arguments->log_path) log_to_standard_error();
  if (file->logger) {
    if (auto done = api::firecracker::apply(*file->logger); !done)
      return refuse(kExitError, done.error());
  }
  settings.metadata = arguments->metadata;
  settings.end_fd = arguments->end_fd.value_or(-1);
  settings.board.exit_port = arguments->exit_port;
  if (arguments->boot_timer) settings.board.boot_timer = start;
  const auto end = run_monitor(std::move(settings));
  if (!end) return refuse(kExitError, end.error());
  return exit_status(*end);
}

}  // namespace
}  // namespace mote::vmm

int main(int argc, char** argv) {
  const auto start = mote::devices::BootTimer::now();
  // One arena for all threads: a monitor allocates little, and each arena more is memory of its
  // own.
  ::mallopt(M_ARENA_MAX, 1);
  mote::vmm::Signals::block();
  const std::span<const char* const> words(argv, static_cast<std::size_t>(argc));
  return mote::vmm::run(words.subspan(argc > 0 ? 1 : 0), start);
}
