// Whether a guest that was given one processor may run on another: its CPUID against what KVM can
// give here, feature by feature.
#pragma once

#include <linux/kvm.h>

#include <span>
#include <string>
#include <vector>

#include "arch/x86_64/cpuid.h"

namespace mote::arch {

// What of the guest's CPUID (`saved`) neither this host's KVM (`supported`,
// KVM_GET_SUPPORTED_CPUID) nor its processor has, which some KVMs give guests without telling: a
// text each, such as "CPUID leaf 0x7 ebx bit 16". Features alone are looked at: numbers and sizes
// are the guest's own. A processor of another maker comes first.
std::vector<std::string> missing_features(std::span<const kvm_cpuid_entry2> saved,
                                          std::span<const kvm_cpuid_entry2> supported,
                                          const HostCpuid& host = host_cpuid);

}  // namespace mote::arch
