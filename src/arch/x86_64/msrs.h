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

// Which MSRs a saved vCPU holds: of `indices` (KVM_GET_MSR_INDEX_LIST) all but those of Hyper-V, of
// performance counters, of VMX and SVM and of what else the guest does not have; and the MTRRs,
// which KVM keeps without listing them. Some may be absent on a host: who reads them leaves those
// out. `more` are saved in any case.
std::vector<std::uint32_t> msrs_to_save(std::span<const std::uint32_t> indices,
                                        std::span<const std::uint32_t> more = {});

}  // namespace mote::arch
