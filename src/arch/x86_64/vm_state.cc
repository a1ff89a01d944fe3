#include "arch/x86_64/vm_state.h"

namespace mote::arch {

Result<VmState> save_vm(const kvm::Vm& vm) {
  VmState state;
  for (std::uint32_t chip = 0; chip < state.irqchips.size(); ++chip) {
    MOTE_TRY(state.irqchips[chip], vm.irqchip(chip));
  }
  MOTE_TRY(state.pit, vm.pit());
  MOTE_TRY(state.clock, vm.clock());
  // What KVM reports of the host's clocks beside the guest's is of this host at this moment only.
  state.clock.flags = 0;
  return state;
}

Result<void> restore_vm(const kvm::Vm& vm, const VmState& state) {
  for (const kvm_irqchip& chip : state.irqchips) MOTE_CHECK(vm.set_irqchip(chip));
  MOTE_CHECK(vm.set_pit(state.pit));
  return vm.set_clock(state.clock);
}

}  // namespace mote::arch
