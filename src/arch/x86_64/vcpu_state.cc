#include "arch/x86_64/vcpu_state.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <tuple>

namespace mote::arch {
namespace {

const kvm_msr_entry* find_msr(const std::vector<kvm_msr_entry>& msrs, std::uint32_t index) {
  const auto found = std::ranges::find(msrs, index, &kvm_msr_entry::index);
  return found == msrs.end() ? nullptr : &*found;
}

// KVM reads as much as this host has room for in an area, whatever the host that saved it had; what
// is behind its end is not in use.
Result<void> restore_xsave(const kvm::Vcpu& vcpu, const kvm::Vm& vm,
                           const std::vector<std::byte>& saved) {
  const auto wanted = static_cast<std::size_t>(std::max(vm.check(KVM_CAP_XSAVE2), 0));
  if (saved.size() >= wanted) return vcpu.set_xsave(saved);
  std::vector<std::byte> area = saved;
  area.resize(wanted);
  return vcpu.set_xsave(area);
}

// Each call makes KVM load the vCPU; what its reset leaves just so needs none (SDM volume 3A,
// "Processor States Following Power-up, Reset, or INIT").
bool is_reset(const kvm_xcrs& xcrs) {
  constexpr std::uint64_t kFpuAlone = 1;
  return xcrs.nr_xcrs == 1 && xcrs.flags == 0 && xcrs.xcrs[0].xcr == 0 &&
         xcrs.xcrs[0].value == kFpuAlone;
}
bool is_reset(const kvm_debugregs& registers) {
  constexpr std::uint64_t kDr6 = 0xffff0ff0;
  constexpr std::uint64_t kDr7 = 0x400;
  return std::ranges::all_of(registers.db, [](std::uint64_t address) { return address == 0; }) &&
         registers.dr6 == kDr6 && registers.dr7 == kDr7 && registers.flags == 0;
}

// With its flags KVM only says which parts it tells.
bool is_reset(kvm_vcpu_events events) {
  events.flags = 0;
  const auto bytes = std::as_bytes(std::span(&events, 1));
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}
// The first one begins to run, the others wait to be woken.
bool is_reset(const kvm_mp_state& state, unsigned index) {
  return state.mp_state == (index == 0 ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED);
}

// Whether the APIC's timer goes by the deadline: else KVM takes no heed of what it is set to.
bool uses_deadline(const kvm_lapic_state& lapic) {
  constexpr std::size_t kLvtTimer = 0x320;
  constexpr std::uint32_t kMode = 3 << 17;
  constexpr std::uint32_t kByDeadline = 2 << 17;
  std::uint32_t timer = 0;
  std::memcpy(&timer, lapic.regs + kLvtTimer, sizeof timer);
  return (timer & kMode) == kByDeadline;
}

// A leaf without what follows CR4, XCR0 and IA32_XSS (SDM volume 2A, CPUID).
kvm_cpuid_entry2 without_enabled(kvm_cpuid_entry2 leaf) {
  constexpr std::uint32_t kOsXsave = 1U << 27;
  constexpr std::uint32_t kOsPke = 1U << 4;
  constexpr std::uint32_t kXsaveLeaf = 0xd;
  if (leaf.function == 1) leaf.ecx &= ~kOsXsave;
  if (leaf.function == 7 && leaf.index == 0) leaf.ecx &= ~kOsPke;
  if (leaf.function == kXsaveLeaf && leaf.index <= 1) leaf.ebx = 0;  // the area's present size
  return leaf;
}

// All but the TSC, which start_tsc() sets, and its deadline.
Result<void> restore_msrs(const kvm::Vcpu& vcpu, const std::vector<kvm_msr_entry>& msrs) {
  std::vector<kvm_msr_entry> others;
  std::ranges::copy_if(msrs, std::back_inserter(others), [](const kvm_msr_entry& entry) {
    return entry.index != kMsrTsc && entry.index != kMsrTscDeadline;
  });
  return vcpu.set_msrs(others);
}

}  // namespace

void mend_tsc_deadline(std::vector<kvm_msr_entry>& msrs) {
  const auto tsc = std::ranges::find(msrs, kMsrTsc, &kvm_msr_entry::index);
  const auto deadline = std::ranges::find(msrs, kMsrTscDeadline, &kvm_msr_entry::index);
  if (tsc != msrs.end() && deadline != msrs.end() && deadline->data == 0)
    deadline->data = tsc->data;
}

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

bool is_same_cpuid(std::span<const kvm_cpuid_entry2> one, std::span<const kvm_cpuid_entry2> other) {
  return std::ranges::equal(one, other, [](const auto& left, const auto& right) {
    const kvm_cpuid_entry2 a = without_enabled(left);
    const kvm_cpuid_entry2 b = without_enabled(right);
    return std::tie(a.function, a.index, a.flags, a.eax, a.ebx, a.ecx, a.edx) ==
           std::tie(b.function, b.index, b.flags, b.eax, b.ebx, b.ecx, b.edx);
  });
}

Result<void> restore_vcpu(const kvm::Vcpu& vcpu, unsigned index, const VcpuState& state,
                          const kvm::Vm& vm, const ClockMoments& clock,
                          std::span<const kvm_cpuid_entry2> given) {
  // CPUID first, as it decides what the rest may hold; the frequency before the TSC, and that
  // before its deadline, which KVM arms by it; the LAPIC after the special registers, which hold
  // its base; the events last, as the others may raise some.
  if (!is_same_cpuid(given, state.cpuid)) MOTE_CHECK(vcpu.set_cpuid(state.cpuid));
  MOTE_TRY(const std::uint32_t host_khz, host_tsc_khz(vcpu, vm));
  if (host_khz != state.tsc_khz) {
    MOTE_CHECK_WITHIN(vcpu.set_tsc_khz(state.tsc_khz),
                      "run the guest's TSC at {} kHz on a host of {} kHz", state.tsc_khz, host_khz);
  }
  if (!is_reset(state.mp_state, index)) MOTE_CHECK(vcpu.set_mp_state(state.mp_state));
  MOTE_CHECK(vcpu.set_regs(state.regs));
  MOTE_CHECK(vcpu.set_sregs(state.sregs));
  if (!is_reset(state.xcrs)) MOTE_CHECK(vcpu.set_xcrs(state.xcrs));
  MOTE_CHECK(restore_xsave(vcpu, vm, state.xsave));
  if (!is_reset(state.debugregs)) MOTE_CHECK(vcpu.set_debugregs(state.debugregs));
  MOTE_CHECK(vcpu.set_lapic(state.lapic));
  MOTE_CHECK(restore_msrs(vcpu, state.msrs));
  if (const auto* tsc = find_msr(state.msrs, kMsrTsc)) {
    MOTE_CHECK(start_tsc(vcpu, vm, clock, tsc->data, state.tsc_khz, host_khz));
  }
  const auto* const deadline = find_msr(state.msrs, kMsrTscDeadline);
  if (deadline != nullptr && uses_deadline(state.lapic)) {
    MOTE_CHECK(vcpu.set_msrs(std::span(deadline, 1)));
  }
  return is_reset(state.events) ? Result<void>() : vcpu.set_events(state.events);
}

}  // namespace mote::arch
