// CPUID as the guest sees it: what KVM can give on this host, made into one package with the
// guest's number of processors, and with what must stay hidden taken out.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"

namespace mote::arch {

using CpuidEntry = kvm_cpuid_entry2;

// Answers of the host's CPUID instruction; only the registers of the entry are filled. A test hands
// in its own.
using HostCpuid = std::function<CpuidEntry(std::uint32_t leaf, std::uint32_t subleaf)>;
CpuidEntry host_cpuid(std::uint32_t leaf, std::uint32_t subleaf);
// Bits of a physical address on this host (leaf 0x80000008).
unsigned host_physical_bits();

struct CpuidInputs {
  std::span<const CpuidEntry> supported;  // KVM_GET_SUPPORTED_CPUID
  unsigned cpus = 1;                      // 1 to 32; even, or 1, with smt
  bool smt = false;                       // two threads a core, else one
  std::uint32_t tsc_khz = 0;              // of the guest's TSC; 0: unknown, nothing is told
  bool tsc_deadline_timer = true;         // KVM_CAP_TSC_DEADLINE_TIMER
  HostCpuid host = host_cpuid;
};

// What all vCPUs have in common. Errors: more entries than KVM takes (256); KVM gave no leaf 0 or
// 1.
Result<std::vector<CpuidEntry>> make_cpuid(const CpuidInputs& inputs);

// `entries` of make_cpuid() for the vCPU whose APIC id is `index`.
std::vector<CpuidEntry> vcpu_cpuid(std::span<const CpuidEntry> entries, unsigned index);

}  // namespace mote::arch
