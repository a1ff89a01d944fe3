#include "arch/x86_64/cpuid.h"

#include <cpuid.h>

#include "arch/x86_64/cpuid_table.h"
#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

// KVM_MAX_CPUID_ENTRIES of the kernel, which no header exports.
constexpr std::size_t kMaxEntries = 256;
constexpr unsigned kDefaultPhysicalBits = 36;

Result<void> check(const CpuidInputs& inputs) {
  if (inputs.cpus < 1 || inputs.cpus > layout::kMaxCpus) {
    return fail(ErrorKind::kInvalid, "{} vCPUs: there can be 1 to {}", inputs.cpus,
                layout::kMaxCpus);
  }
  if (inputs.smt && inputs.cpus > 1 && inputs.cpus % 2 != 0) {
    return fail(ErrorKind::kInvalid, "{} vCPUs with two threads a core: it must be 1 or even",
                inputs.cpus);
  }
  return {};
}

}  // namespace

CpuidEntry host_cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  CpuidEntry entry{};
  __cpuid_count(leaf, subleaf, entry.eax, entry.ebx, entry.ecx, entry.edx);
  return entry;
}

unsigned host_physical_bits() {
  if (host_cpuid(0x80000000, 0).eax < 0x80000008) return kDefaultPhysicalBits;
  return host_cpuid(0x80000008, 0).eax & 0xff;
}

Result<std::vector<CpuidEntry>> make_cpuid(const CpuidInputs& inputs) {
  MOTE_CHECK(check(inputs));
  CpuidTable table(inputs.supported);
  if (table.find(0) == nullptr || table.find(1) == nullptr) {
    return fail(ErrorKind::kUnsupported, "KVM tells nothing of the processor (CPUID leaves 0, 1)");
  }
  const CpuTopology topology{.cpus = inputs.cpus,
                             .threads_per_core = inputs.smt && inputs.cpus > 1 ? 2U : 1U};
  set_identity(table, inputs);
  hide_features(table);
  set_topology(table, topology);
  set_caches(table, topology, inputs.host);
  std::vector<CpuidEntry> entries = std::move(table).take();
  if (entries.size() > kMaxEntries) {
    return fail(ErrorKind::kUnsupported, "{} CPUID leaves; KVM takes {} at most", entries.size(),
                kMaxEntries);
  }
  return entries;
}

std::vector<CpuidEntry> vcpu_cpuid(std::span<const CpuidEntry> entries, unsigned index) {
  std::vector<CpuidEntry> own(entries.begin(), entries.end());
  for (CpuidEntry& entry : own) {
    switch (entry.function) {
      case 0x1:
        entry.ebx = (entry.ebx & 0x00ffffff) | index << 24;
        break;
      case 0xb:
      case 0x1f:
        entry.edx = index;
        break;
      case 0x8000001e: {
        const unsigned threads_per_core = (entry.ebx >> 8 & 0xff) + 1;
        entry.eax = index;
        entry.ebx = (entry.ebx & ~0xffU) | index / threads_per_core;
        break;
      }
      default:
        break;
    }
  }
  return own;
}

}  // namespace mote::arch
