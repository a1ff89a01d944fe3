// Who has the standard streams: the guest's first serial port, its second, or its console.
#pragma once

#include <optional>

#include "base/result.h"
#include "machine/board.h"
#include "machine/config.h"
#include "programs/mote_vmm/arguments.h"

namespace mote::vmm {

struct Streams {
  machine::SerialLine com1;
  std::optional<machine::SerialLine> com2;
  int terminal = -1;  // made raw while the VM runs, if it is a terminal
};

// The streams are the first serial port's as Firecracker has it, unless they are the command's,
// which has the second, or a console's. An error: they are asked for twice.
Result<Streams> wire_streams(const Arguments& arguments, const machine::VmConfig& config);

// Sends the log to standard error, where standard output is somebody else's.
void log_to_standard_error();

}  // namespace mote::vmm
