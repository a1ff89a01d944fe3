#include "programs/mote_vmm/streams.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"

namespace mote::vmm {

Result<Streams> wire_streams(const Arguments& arguments, const machine::VmConfig& config) {
  Streams streams;
  const bool console_has_them = config.console && virtio::uses_stdio(*config.console);
  if (arguments.stdio_uart && console_has_them) {
    return fail(ErrorKind::kInvalid,
                "console: a port has the mode Stdio, and --stdio-uart gives the standard streams "
                "to the second serial port; use one of the two");
  }
  if (!arguments.stdio_uart && !console_has_them) {
    streams.com1 = {.input = STDIN_FILENO, .output = arguments.console_fd.value_or(STDOUT_FILENO)};
    streams.terminal = STDIN_FILENO;
    return streams;
  }
  streams.com1.output = arguments.console_fd.value_or(-1);
  if (console_has_them) {
    streams.terminal = STDIN_FILENO;
    return streams;
  }
  // Whoever wired the second port to the streams has made of a terminal what it wants.
  streams.com2 =
      machine::SerialLine{.input = STDIN_FILENO, .output = STDOUT_FILENO, .flow_control = true};
  return streams;
}

void log_to_standard_error() {
  log::set_sink(UniqueFd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)));
}

}  // namespace mote::vmm
