// The first of what a VM is made of, as a launch and a restore have it in common.
#pragma once

#include <vector>

#include "base/result.h"
#include "kvm/kvm.h"
#include "machine/config.h"
#include "memory/guest_memory.h"

namespace mote::machine {

// An error that says what the machine needs and `kvm` lacks.
Result<void> check_kvm(const kvm::Kvm& kvm, const VmConfig& config);

// The VM's RAM, of which there is nothing yet. Memory comes before the controllers, and so do the
// devices that bring some: the controllers' registration leaves a grace period that a change of
// slots waits out.
Result<void> register_ram(const kvm::Vm& vm, const memory::GuestMemory& memory,
                          const MachineConfig& config);

// Processors behind those that there are, up to `count` of them.
Result<void> add_processors(const kvm::Vm& vm, unsigned count, std::vector<kvm::Vcpu>& vcpus);

// The VM's controllers, then its processors, of which each gets its LAPIC.
Result<std::vector<kvm::Vcpu>> make_processors(const kvm::Vm& vm, unsigned count);

}  // namespace mote::machine
