#include "arch/x86_64/vm_state.h"

namespace mote::arch {

Result<VmState> save_vm(const kvm::Vm& vm) {
  VmState state;
  for (std::uint32_t chip = 0; chip < state.irqchips.size(); ++chip) {
    MOTE_TRY(state.irqchips[chip], vm.irqchip(chip));
  }
  MOTE_TRY(state.pit, vm.pit());
  MOTE_TRY(state.clock, vm.clock());
  return state;
}

Result<void> restore_vm(const kvm::Vm& vm, const VmState& state, ClockStart clock) {
  for (const kvm_irqchip& chip : state.irqchips) MOTE_CHECK(vm.set_irqchip(chip));
  MOTE_CHECK(vm.set_pit(state.pit));
  // What KVM reported of that host's clocks beside the guest's counts only where it is asked for.
  kvm_clock_data data{};
  data.clock = state.clock.clock;
  if (clock == ClockStart::kNow) {
    if ((state.clock.flags & KVM_CLOCK_REALTIME) == 0) {
      return fail(ErrorKind::kUnsupported,
                  "the guest's clock cannot be set to the present time: the host that saved it did "
                  "not say what time it was (KVM_CLOCK_REALTIME, Linux 5.16)");
    }
    data.flags = KVM_CLOCK_REALTIME;
    data.realtime = state.clock.realtime;
  }
  return vm.set_clock(data);
}

}  // namespace mote::arch
