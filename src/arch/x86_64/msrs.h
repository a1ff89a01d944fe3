// Model-specific registers: their values when the guest starts, and which of them a vCPU's saved
// state holds.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <span>
#include <vector>

namespace mote::arch {

// The MSRs that mote sets before the guest starts, the same on each vCPU: those of system calls and
// the TSC at 0, fast string operations on, MTRRs on with write-back as their default.
std::vector<kvm_msr_entry> boot_msrs();

// Which of `indices` (KVM_GET_MSR_INDEX_LIST) are worth saving: all but those of Hyper-V, of
// performance counters, of VMX and of what else the guest's CPUID hides.
std::vector<std::uint32_t> msrs_to_save(std::span<const std::uint32_t> indices);

}  // namespace mote::arch
