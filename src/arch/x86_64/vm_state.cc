#include "arch/x86_64/vm_state.h"

#include <time.h>

#include <algorithm>

namespace mote::arch {
namespace {

std::uint64_t time_of_day_ns() {
  constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kNanosecondsPerSecond +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

Result<VmState> save_vm(const kvm::Vm& vm) {
  VmState state;
  for (std::uint32_t chip = 0; chip < state.irqchips.size(); ++chip) {
    MOTE_TRY(state.irqchips[chip], vm.irqchip(chip));
  }
  MOTE_TRY(state.pit, vm.pit());
  MOTE_TRY(state.clock, vm.clock());
  // KVM does not tell what time it was before Linux 5.16, nor of a VM none of whose vCPUs has run.
  if ((state.clock.flags & KVM_CLOCK_REALTIME) == 0) {
    state.clock.realtime = time_of_day_ns();
    state.clock.flags |= KVM_CLOCK_REALTIME;
  }
  return state;
}

Result<void> restore_vm(const kvm::Vm& vm, const VmState& state, ClockStart clock) {
  for (const kvm_irqchip& chip : state.irqchips) MOTE_CHECK(vm.set_irqchip(chip));
  if (state.pit) {
    MOTE_CHECK(vm.create_pit());
    MOTE_CHECK(vm.set_pit(*state.pit));
  }
  // What KVM reported of that host's clocks beside the guest's counts only where it is asked for.
  kvm_clock_data data{};
  data.clock = state.clock.clock;
  if (clock == ClockStart::kNow) {
    if ((state.clock.flags & KVM_CLOCK_REALTIME) == 0) {
      return fail(ErrorKind::kUnsupported,
                  "the guest's clock cannot be set to the present time: the state does not say "
                  "when it was saved");
    }
    // A clock of the host's that was put back meanwhile does not put the guest's back.
    const std::uint64_t now = time_of_day_ns();
    data.clock += now - std::min<std::uint64_t>(now, state.clock.realtime);
  }
  return vm.set_clock(data);
}

}  // namespace mote::arch
