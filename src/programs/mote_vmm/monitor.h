// The monitor's life: one machine, its event loop, its signals and terminal, and the status that it
// ends with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/firecracker/metrics.h"
#include "base/result.h"
#include "devices/end.h"
#include "machine/board.h"
#include "machine/config.h"
#include "machine/head_start.h"
#include "metadata/store.h"

namespace mote::vmm {

struct MonitorSettings {
  machine::VmConfig config;
  machine::BoardOptions board;
  std::optional<std::string> metadata = {};  // a file of JSON for the metadata service
  std::uint64_t metadata_limit = metadata::kDefaultSizeLimit;  // most bytes of its data
  api::firecracker::Metrics* metrics = nullptr;  // there are some; outlive the monitor
  int terminal = -1;                             // made raw while the VM runs, if it is a terminal
  std::optional<machine::HeadStart> head_start = {};  // of the launch
  std::vector<std::string> allow_path = {};           // see file_rules.h
  int end_fd = -1;                                    // gets the end's report; -1: nobody wants it
};

// Boots the machine, runs it to its end and cleans up. Ends the process then, or, for its caller to
// do so, returns the end. An error: there was no machine.
Result<devices::End> run_monitor(MonitorSettings settings);

}  // namespace mote::vmm
