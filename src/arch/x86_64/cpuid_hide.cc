// What a guest must not see: nested virtualisation, performance counters and tracing, enclaves and
// encryption, and what is the host's business.

#include <array>

#include "arch/x86_64/cpuid_table.h"

namespace mote::arch {
namespace {

constexpr std::uint32_t bit(unsigned number) { return 1U << number; }

struct HiddenBits {
  std::uint32_t leaf;
  std::uint32_t subleaf;
  std::uint32_t CpuidEntry::* reg;
  std::uint32_t mask;
};

constexpr std::array<HiddenBits, 8> kHiddenBits = {{
    // DTES64, VMX, PDCM; OSXSAVE, which follows the guest's CR4.
    {0x1, 0, &CpuidEntry::ecx, bit(2) | bit(5) | bit(15) | bit(27)},
    {0x1, 0, &CpuidEntry::edx, bit(21)},           // debug store
    {0x6, 0, &CpuidEntry::eax, bit(1)},            // turbo
    {0x6, 0, &CpuidEntry::ecx, bit(3)},            // energy bias
    {0x7, 0, &CpuidEntry::ebx, bit(2) | bit(25)},  // SGX, Processor Trace
    {0x7, 0, &CpuidEntry::ecx, bit(5) | bit(30)},  // WAITPKG, SGX launch control
    {0x7, 0, &CpuidEntry::edx, bit(19)},           // branch records
    // SVM; IBS, light-weight profiling, SKINIT; counters of core, northbridge, TSC and caches.
    {0x80000001, 0, &CpuidEntry::ecx,
     bit(2) | bit(10) | bit(12) | bit(15) | bit(23) | bit(24) | bit(27) | bit(28)},
}};

// Intel tells by a bit that it has IA32_ARCH_CAPABILITIES; on AMD it is KVM that makes it up.
constexpr HiddenBits kArchCapabilities{0x7, 0, &CpuidEntry::edx, bit(29)};

constexpr std::array<std::uint32_t, 11> kEmptyLeaves = {
    0xa,         // performance counters
    0x12,        // SGX
    0x14,        // Processor Trace
    0x1c,        // branch records
    0x23,        // performance counters, more of them
    0x8000000a,  // SVM
    0x8000001b,  // instruction-based sampling
    0x8000001f,  // encrypted memory
    0x80000022,  // AMD's performance counters, version 2
    0x80000023,  // encrypted memory with many keys
    0x80000026,  // topology of the host
};

void hide(CpuidTable& table, const HiddenBits& hidden) {
  if (CpuidEntry* entry = table.find(hidden.leaf, hidden.subleaf)) {
    entry->*hidden.reg &= ~hidden.mask;
  }
}

}  // namespace

void hide_features(CpuidTable& table) {
  for (const HiddenBits& hidden : kHiddenBits) hide(table, hidden);
  if (table.vendor() == CpuVendor::kAmd) hide(table, kArchCapabilities);
  // KVM answers zeros for a leaf within the range that is not listed.
  for (const std::uint32_t leaf : kEmptyLeaves) table.erase(leaf);
}

}  // namespace mote::arch
