// What the metrics' file is told when a signal ends the process.
#pragma once

#include "api/firecracker/metrics.h"

namespace mote::vmm {

// Notes in `counts` that `signal` came.
void count_signal(api::firecracker::ProcessMetrics& counts, int signal);

// Has a fault of the process written to the file of `metrics`, which live as long as the process,
// and SIGPIPE, which stays without effect, counted.
void write_faults_to(api::firecracker::Metrics& metrics);

}  // namespace mote::vmm
