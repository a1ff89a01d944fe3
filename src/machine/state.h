// All that a machine is beside the contents of its memory, as one struct.
#pragma once

#include <boost/describe/class.hpp>
#include <optional>
#include <string>
#include <vector>

#include "arch/x86_64/vcpu_state.h"
#include "arch/x86_64/vm_state.h"
#include "machine/board.h"
#include "machine/device_kinds.h"
#include "metadata/state.h"
#include "virtio/transport/state.h"

namespace mote::machine {

// A virtio device, whatever its kind.
struct SavedDevice {
  std::string section;  // of the configuration: "drives"
  std::string id;       // as ListedDevice's
  virtio::MmioState transport;
  DeviceState device;
};
BOOST_DESCRIBE_STRUCT(SavedDevice, (), (section, id, transport, device))

struct MachineState {
  arch::VmState vm;
  std::vector<arch::VcpuState> vcpus;  // by APIC id
  BoardState board;
  std::vector<SavedDevice> devices;  // in the order of their windows
  std::optional<metadata::ServiceState> metadata = {};
};
BOOST_DESCRIBE_STRUCT(MachineState, (), (vm, vcpus, board, devices, metadata))

}  // namespace mote::machine
