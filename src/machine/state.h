// All that a machine is beside the contents of its memory, as one struct.
#pragma once

#include <boost/describe/class.hpp>
#include <string>
#include <vector>

#include "arch/x86_64/vcpu_state.h"
#include "arch/x86_64/vm_state.h"
#include "machine/board.h"
#include "virtio/block/state.h"
#include "virtio/transport/state.h"

namespace mote::machine {

struct DriveState {
  std::string drive_id;
  virtio::MmioState transport;
  virtio::BlockState device;
};
BOOST_DESCRIBE_STRUCT(DriveState, (), (drive_id, transport, device))

struct MachineState {
  arch::VmState vm;
  std::vector<arch::VcpuState> vcpus;  // by APIC id
  BoardState board;
  std::vector<DriveState> drives;  // in the order of their windows
};
BOOST_DESCRIBE_STRUCT(MachineState, (), (vm, vcpus, board, drives))

}  // namespace mote::machine
