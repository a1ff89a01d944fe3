#include "arch/x86_64/cpu_modifiers.h"

#include <algorithm>

namespace mote::arch {

Result<void> modify(std::span<const CpuidModifier> modifiers, std::span<CpuidEntry> leaves) {
  for (const CpuidModifier& modifier : modifiers) {
    const auto entry = std::ranges::find_if(leaves, [&](const CpuidEntry& leaf) {
      return leaf.function == modifier.leaf && leaf.index == modifier.subleaf;
    });
    if (entry == leaves.end()) {
      return fail(ErrorKind::kUnsupported,
                  "the CPU template changes CPUID leaf {:#x}, subleaf {:#x}, which this host's KVM "
                  "does not have",
                  modifier.leaf, modifier.subleaf);
    }
    entry->flags = modifier.flags;
    entry->eax = modifier.eax.apply(entry->eax);
    entry->ebx = modifier.ebx.apply(entry->ebx);
    entry->ecx = modifier.ecx.apply(entry->ecx);
    entry->edx = modifier.edx.apply(entry->edx);
  }
  return {};
}

Result<void> modify(std::span<const MsrModifier> modifiers, std::span<kvm_msr_entry> values) {
  for (const MsrModifier& modifier : modifiers) {
    const auto entry = std::ranges::find(values, modifier.index, &kvm_msr_entry::index);
    if (entry == values.end()) {
      return fail(ErrorKind::kUnsupported,
                  "the CPU template changes MSR {:#x}, which this host's KVM does not have",
                  modifier.index);
    }
    entry->data = modifier.bits.apply(entry->data);
  }
  return {};
}

}  // namespace mote::arch
