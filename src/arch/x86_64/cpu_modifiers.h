// CpuModifiers say how the processor that a guest sees differs from what KVM can give: bits of
// CPUID registers and of MSRs that are set or cleared, and KVM capabilities that are wanted, or not
// needed. A CPU template is one of these.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <span>
#include <vector>

#include "arch/x86_64/cpuid.h"
#include "base/result.h"
#include "kvm/kvm.h"

namespace mote::arch {

// Which bits of a register have a value of their own, and which value.
template <typename Register>
struct BitFilter {
  Register mask = 0;
  Register value = 0;  // within `mask`
  constexpr Register apply(Register original) const { return (original & ~mask) | value; }
  bool operator==(const BitFilter&) const = default;
};

// One answer of CPUID.
struct CpuidModifier {
  std::uint32_t leaf = 0;
  std::uint32_t subleaf = 0;
  std::uint32_t flags = 0;  // KVM_CPUID_FLAG_*, in place of those that KVM gives
  BitFilter<std::uint32_t> eax = {};
  BitFilter<std::uint32_t> ebx = {};
  BitFilter<std::uint32_t> ecx = {};
  BitFilter<std::uint32_t> edx = {};
  bool operator==(const CpuidModifier&) const = default;
};

struct MsrModifier {
  std::uint32_t index = 0;
  BitFilter<std::uint64_t> bits = {};
  bool operator==(const MsrModifier&) const = default;
};

struct CpuModifiers {
  std::vector<kvm::CapabilityChange> capabilities;
  std::vector<CpuidModifier> cpuid;  // applied in order
  std::vector<MsrModifier> msrs;     // likewise
};

// Changes `leaves`, which are what KVM supports. Errors: a leaf that is not among them, by its
// number.
Result<void> modify(std::span<const CpuidModifier> modifiers, std::span<CpuidEntry> leaves);
// Changes `values`, which hold each MSR as it would be. Errors: an MSR that is not among them, by
// its number.
Result<void> modify(std::span<const MsrModifier> modifiers, std::span<kvm_msr_entry> values);

}  // namespace mote::arch
