#include "arch/x86_64/vcpu_state.h"

#include <algorithm>

namespace mote::arch {
namespace {

// IA32_TSC_DEADLINE. It is set after all others, as KVM compares it with the TSC and the APIC's
// timer mode.
constexpr std::uint32_t kMsrTscDeadline = 0x6e0;
constexpr std::uint32_t kMsrTsc = 0x10;

// A deadline of 0 means that the timer is not armed, or that it fired between two reads: the
// present TSC in its place makes a timer that was due fire, and one that was not armed stays so,
// since the guest ignores what it did not ask for.
void mend_tsc_deadline(std::vector<kvm_msr_entry>& msrs) {
  const auto tsc = std::ranges::find(msrs, kMsrTsc, &kvm_msr_entry::index);
  const auto deadline = std::ranges::find(msrs, kMsrTscDeadline, &kvm_msr_entry::index);
  if (tsc != msrs.end() && deadline != msrs.end() && deadline->data == 0)
    deadline->data = tsc->data;
}

Result<void> restore_msrs(const kvm::Vcpu& vcpu, std::vector<kvm_msr_entry> msrs) {
  const auto last = std::ranges::stable_partition(
      msrs, [](const kvm_msr_entry& entry) { return entry.index != kMsrTscDeadline; });
  MOTE_CHECK(vcpu.set_msrs(std::span(msrs.begin(), last.begin())));
  return vcpu.set_msrs(std::span(last.begin(), last.end()));
}

}  // namespace

Result<VcpuState> save_vcpu(const kvm::Vcpu& vcpu, std::span<const std::uint32_t> msr_indices,
                            std::size_t xsave_size) {
  VcpuState state;
  // The order matters to KVM: reading mp_state first lets it settle pending INIT and SIPI, and the
  // MSRs are read before the events, which a change of them may alter.
  MOTE_TRY(state.mp_state, vcpu.mp_state());
  MOTE_TRY(state.regs, vcpu.regs());
  MOTE_TRY(state.sregs, vcpu.sregs());
  MOTE_TRY(state.xsave, vcpu.xsave(xsave_size));
  MOTE_TRY(state.xcrs, vcpu.xcrs());
  MOTE_TRY(state.debugregs, vcpu.debugregs());
  MOTE_TRY(state.lapic, vcpu.lapic());
  MOTE_TRY(state.tsc_khz, vcpu.tsc_khz());
  MOTE_TRY(state.msrs, vcpu.msrs(msr_indices));
  MOTE_TRY(state.events, vcpu.events());
  MOTE_TRY(state.cpuid, vcpu.cpuid());
  mend_tsc_deadline(state.msrs);
  return state;
}

Result<void> restore_vcpu(const kvm::Vcpu& vcpu, const VcpuState& state) {
  // CPUID first, as it decides what the rest may hold; the frequency before the MSRs, which hold
  // the TSC; the LAPIC after the special registers, which hold its base; the events last, as the
  // others may raise some.
  MOTE_CHECK(vcpu.set_cpuid(state.cpuid));
  MOTE_TRY(const std::uint32_t khz, vcpu.tsc_khz());
  if (khz != state.tsc_khz) {
    MOTE_CHECK_WITHIN(vcpu.set_tsc_khz(state.tsc_khz),
                      "run the guest's TSC at {} kHz on a host of {} kHz", state.tsc_khz, khz);
  }
  MOTE_CHECK(vcpu.set_mp_state(state.mp_state));
  MOTE_CHECK(vcpu.set_regs(state.regs));
  MOTE_CHECK(vcpu.set_sregs(state.sregs));
  MOTE_CHECK(vcpu.set_xcrs(state.xcrs));
  MOTE_CHECK(vcpu.set_xsave(state.xsave));
  MOTE_CHECK(vcpu.set_debugregs(state.debugregs));
  MOTE_CHECK(vcpu.set_lapic(state.lapic));
  MOTE_CHECK(restore_msrs(vcpu, state.msrs));
  return vcpu.set_events(state.events);
}

}  // namespace mote::arch
