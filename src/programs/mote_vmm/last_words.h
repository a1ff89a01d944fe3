// What the log and the metrics' file are told when a signal ends the process.
#pragma once

#include "api/firecracker/metrics.h"

namespace mote::vmm {

// Notes in `counts` that `signal` came.
void count_signal(api::firecracker::ProcessMetrics& counts, int signal);

// Has the log told of a system call that a filter refuses, and what write_faults_to() says of all
// faults. Before other threads start.
void tell_faults();
// Has a fault of the process written to the file of `metrics`, which live as long as the process,
// and SIGPIPE, which stays without effect, counted.
void write_faults_to(api::firecracker::Metrics& metrics);

}  // namespace mote::vmm
