// The guest's TSC beside its other clock, kvmclock, from a snapshot to its load. Linux compares the
// two where it does not trust the TSC, and gives it up when they differ by some 100 us; so what is
// saved is one moment of both, and what is set.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "kvm/kvm.h"

namespace mote::arch {

inline constexpr std::uint32_t kMsrTsc = 0x10;  // IA32_TIME_STAMP_COUNTER

// The frequency of the host's TSC, in kHz: that of `vcpu`, of `vm`, as long as nobody has set it.
// Asking a vCPU makes KVM load it, so the VM is asked first: kernels know since 5.16, also those
// that cannot change it and so have no KVM_CAP_VM_TSC_CONTROL.
Result<std::uint32_t> host_tsc_khz(const kvm::Vcpu& vcpu, const kvm::Vm& vm);

// Makes the TSC among `msrs`, which were read from `vcpu` a little before `clock` from its VM, the
// one of that moment. It stays as it is where KVM does not tell the moment by the host's TSC, whose
// frequency is `host_khz` (0: not known), or the guest's runs at another one.
Result<void> settle_tsc(const kvm::Vcpu& vcpu, const kvm_clock_data& clock, std::uint32_t host_khz,
                        std::vector<kvm_msr_entry>& msrs);

// What the clock was when the guest was saved, and is now that it runs again.
struct ClockMoments {
  kvm_clock_data saved{};
  kvm_clock_data now{};
};

// Has the TSC of `vcpu`, which was `tsc` at the saved moment and runs at `guest_khz`, go on in step
// with the clock of `vm`: so that it counts all the time that the clock does, and vCPUs agree.
Result<void> start_tsc(const kvm::Vcpu& vcpu, const kvm::Vm& vm, const ClockMoments& moments,
                       std::uint64_t tsc, std::uint32_t guest_khz, std::uint32_t host_khz);

}  // namespace mote::arch
