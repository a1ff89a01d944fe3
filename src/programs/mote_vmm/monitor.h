// The monitor's life: one machine, its event loop, its signals and terminal, and the status that it
// ends with.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "devices/end.h"
#include "machine/board.h"
#include "machine/config.h"

namespace mote::vmm {

// Statuses that tell of the monitor's own fate; a guest's exit port may give any other.
inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitBadConfiguration = 152;
inline constexpr int kExitBadArguments = 153;
inline constexpr int kExitHangUp = 156;

struct MonitorSettings {
  machine::VmConfig config;
  machine::BoardOptions board;
  std::optional<std::string> metadata = {};  // a file of JSON for the metadata service
  int terminal = -1;                         // made raw while the VM runs, if it is a terminal
  int end_fd = -1;                           // gets the end's report; -1: nobody wants it
};

// Boots the machine, runs it to its end and cleans up. Ends the process then, or, for its caller to
// do so, returns the end. An error: there was no machine.
Result<devices::End> run_monitor(MonitorSettings settings);

// The end as a line of JSON: {"reason":"reset","status":0,"message":"..."}.
std::string end_report(const devices::End& end);

// What the process exits with. Does not return when `end` is a signal that the process ends by
// itself.
int exit_status(const devices::End& end);

}  // namespace mote::vmm
