// What a vCPU is at a moment, as a struct: taken from a parked vCPU, and set on a new one of
// another VM.
#pragma once

#include <linux/kvm.h>

#include <boost/describe/class.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "arch/x86_64/kvm_describe.h"
#include "arch/x86_64/tsc.h"
#include "base/result.h"
#include "kvm/kvm.h"

namespace mote::arch {

struct VcpuState {
  std::vector<kvm_cpuid_entry2> cpuid;
  kvm_mp_state mp_state{};
  kvm_regs regs{};
  kvm_sregs sregs{};
  std::vector<std::byte> xsave;  // the XSAVE area, 4096 bytes or what KVM_CAP_XSAVE2 says
  kvm_xcrs xcrs{};
  kvm_debugregs debugregs{};
  kvm_lapic_state lapic{};
  std::vector<kvm_msr_entry> msrs;
  kvm_vcpu_events events{};
  std::uint32_t tsc_khz = 0;
};
BOOST_DESCRIBE_STRUCT(VcpuState, (),
                      (cpuid, mp_state, regs, sregs, xsave, xcrs, debugregs, lapic, msrs, events,
                       tsc_khz))

// Takes the state of a vCPU whose thread is parked with no exit half answered. `msr_indices` are
// those to keep, `xsave_size` is KVM_CAP_XSAVE2 of its VM.
Result<VcpuState> save_vcpu(const kvm::Vcpu& vcpu, std::span<const std::uint32_t> msr_indices,
                            std::size_t xsave_size);

// IA32_TSC_DEADLINE. It is set after all others, as KVM compares it with the TSC and the APIC's
// timer mode.
inline constexpr std::uint32_t kMsrTscDeadline = 0x6e0;
// A deadline of 0 means that the timer is not armed, or that it fired between two reads: the
// present TSC in its place makes a timer that was due fire, and one that was not armed stays so,
// since the guest ignores what it did not ask for.
void mend_tsc_deadline(std::vector<kvm_msr_entry>& msrs);

// Whether a vCPU that has been given one CPUID has been given the other: what KVM itself changes in
// it, by what the guest has enabled, does not count.
bool is_same_cpuid(std::span<const kvm_cpuid_entry2> one, std::span<const kvm_cpuid_entry2> other);

// Sets all of `state` on the vCPU `index` of `vm`, which has not run, once the VM's clock is set:
// `clock` is that one, and the one that it was set to. `given` is the CPUID that it has been given
// already; empty: none. An error names the part that KVM refused.
Result<void> restore_vcpu(const kvm::Vcpu& vcpu, unsigned index, const VcpuState& state,
                          const kvm::Vm& vm, const ClockMoments& clock,
                          std::span<const kvm_cpuid_entry2> given = {});

}  // namespace mote::arch
