// What vCPUs count, under Firecracker's names.
#pragma once

#include <boost/describe/class.hpp>

#include "base/counters.h"

namespace mote::machine {

struct VcpuMetrics {
  // Exits to this process, and how long their answers took.
  Counter exit_io_in;
  Counter exit_io_out;
  Counter exit_mmio_read;
  Counter exit_mmio_write;
  Counter failures;             // exits that ended the machine, and vCPUs that could not run
  Counter kvmclock_ctrl_fails;  // pauses that the guest's clock could not be told of
  LatencyAggregate exit_io_in_agg;
  LatencyAggregate exit_io_out_agg;
  LatencyAggregate exit_mmio_read_agg;
  LatencyAggregate exit_mmio_write_agg;
};
BOOST_DESCRIBE_STRUCT(VcpuMetrics, (),
                      (exit_io_in, exit_io_out, exit_mmio_read, exit_mmio_write, failures,
                       kvmclock_ctrl_fails, exit_io_in_agg, exit_io_out_agg, exit_mmio_read_agg,
                       exit_mmio_write_agg))

}  // namespace mote::machine
