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

// The serial ports: the first on the process's own streams as Firecracker has it, or, where those
// are the command's, the second.
void wire_serial_ports(const Arguments& arguments, machine::BoardOptions& board) {
  if (arguments.stdio_uart) {
    board.com1.output = arguments.console_fd.value_or(-1);
    board.com2 =
        machine::SerialLine{.input = STDIN_FILENO, .output = STDOUT_FILENO, .flow_control = true};
  } else {
    board.com1 = {.input = STDIN_FILENO, .output = arguments.console_fd.value_or(STDOUT_FILENO)};
  }
}

// The log goes to standard output as Firecracker's does, unless that is the guest's command's. 0,
// or what to exit with.
int set_up_log(const Arguments& arguments, log::Settings& settings) {
  settings.id = arguments.id;
  if (arguments.stdio_uart) log::set_sink(UniqueFd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)));
  const auto config = logger_config(arguments);
  if (!config) return refuse(kExitBadConfiguration, config.error());
  const auto done = api::firecracker::apply(*config, settings);
  return done ? kExitOk : refuse(kExitError, done.error());
}

int run(std::span<const char* const> words, devices::BootTimer::Start start) {
  const auto arguments = parse(words);
  if (!arguments) return refuse(kExitBadArguments, arguments.error());
  if (arguments->help || arguments->version) {
    fmt::print("{}", arguments->help ? help() : version());
    return kExitOk;
  }
  log::Settings log_settings;
  if (const int status = set_up_log(*arguments, log_settings); status != kExitOk) return status;
  for (const auto& [flag, fd] : {std::pair{"--console-fd", arguments->console_fd},
                                 std::pair{"--end-fd", arguments->end_fd}}) {
    if (auto open = take_descriptor(flag, fd); !open)
      return refuse(kExitBadArguments, open.error());
  }
  // An error here is one of making the machine, so that it is told of behind those of the
  // configuration.
  auto host = machine::Host::open();
  auto file = api::firecracker::read_config_file(*arguments->config_file);
  if (!file) return refuse(kExitError, file.error());
  if (file->logger) {
    if (auto done = api::firecracker::apply(*file->logger, log_settings); !done)
      return refuse(kExitError, done.error());
  }
  MonitorSettings settings;
  settings.config = std::move(file->vm);
  settings.end_fd = arguments->end_fd.value_or(-1);
  wire_serial_ports(*arguments, settings.board);
  settings.board.exit_port = arguments->exit_port;
  if (arguments->boot_timer) settings.board.boot_timer = start;
  if (!host) return refuse(kExitError, host.error());
  settings.host = std::move(*host);
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
  mote::vmm::EndingSignals::block();
  const std::span<const char* const> words(argv, static_cast<std::size_t>(argc));
  return mote::vmm::run(words.subspan(argc > 0 ? 1 : 0), start);
}
