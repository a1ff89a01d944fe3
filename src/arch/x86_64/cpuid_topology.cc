// The guest is one package: cores that share the last cache, of one thread or two. APIC ids count
// the threads.

#include <algorithm>
#include <bit>

#include "arch/x86_64/cpuid_table.h"

namespace mote::arch {
namespace {

constexpr std::uint32_t kTopologyExtensions = 1U << 22;  // in ECX of leaf 0x80000001

// Bits of an APIC id that tell `count` things apart.
unsigned id_bits(unsigned count) { return static_cast<unsigned>(std::bit_width(count - 1)); }

void put(std::uint32_t& reg, unsigned low, unsigned width, std::uint32_t value) {
  const std::uint32_t mask = ((1U << width) - 1) << low;
  reg = (reg & ~mask) | (value << low & mask);
}

// Leaf 1: the number of ids in the package, and whether there are several (HTT).
void set_basic(CpuidTable& table, const CpuTopology& topology) {
  constexpr std::uint32_t kCacheLineQuads = 8;  // what CLFLUSH flushes, in 8 bytes
  constexpr unsigned kHyperThreading = 28;
  CpuidEntry& entry = table.ensure(0x1);
  put(entry.ebx, 8, 8, kCacheLineQuads);
  put(entry.ebx, 16, 8, std::bit_ceil(topology.cpus));
  put(entry.ebx, 24, 8, 0);
  put(entry.edx, kHyperThreading, 1, topology.cpus > 1 ? 1 : 0);
}

// Leaves 0xb and 0x1f: how many bits of the APIC id each level takes.
void set_extended(CpuidTable& table, const CpuTopology& topology, std::uint32_t leaf) {
  constexpr std::uint32_t kLevelThread = 1;
  constexpr std::uint32_t kLevelCore = 2;
  table.erase(leaf);
  if (table.max_basic() < leaf) return;
  const unsigned thread_bits = id_bits(topology.threads_per_core);
  CpuidEntry level{};
  level.eax = thread_bits;
  level.ebx = topology.threads_per_core;
  level.ecx = kLevelThread << 8 | 0;
  table.add(leaf, 0, level);
  level.eax = thread_bits + id_bits(topology.cores());
  level.ebx = topology.cpus;
  level.ecx = kLevelCore << 8 | 1;
  table.add(leaf, 1, level);
  level = {};
  level.ecx = 2;
  table.add(leaf, 2, level);
}

bool has_topology_extensions(const CpuidTable& table) {
  const CpuidEntry* entry = table.find(0x80000001);
  return entry != nullptr && (entry->ecx & kTopologyExtensions) != 0;
}

// AMD's leaves: the number of cores, and the core and node of each id.
void set_amd(CpuidTable& table, const CpuTopology& topology) {
  if (CpuidEntry* entry = table.find(0x80000008)) {
    entry->ecx = 0;
    put(entry->ecx, 0, 8, topology.cpus - 1);
    put(entry->ecx, 12, 4, id_bits(topology.cpus));
  }
  table.erase(0x8000001e);
  if (table.max_extended() >= 0x8000001e && has_topology_extensions(table)) {
    CpuidEntry& entry = table.ensure(0x8000001e);
    put(entry.ebx, 8, 8, topology.threads_per_core - 1);
  }
}

constexpr std::uint32_t cache_type(const CpuidEntry& entry) { return entry.eax & 0x1f; }
constexpr std::uint32_t cache_level(const CpuidEntry& entry) { return entry.eax >> 5 & 7; }

// The host's answers, where KVM gives none.
void take_caches_of_host(CpuidTable& table, std::uint32_t leaf, const HostCpuid& host) {
  constexpr std::uint32_t kMaxCaches = 8;
  const CpuidEntry* first = table.find(leaf);
  if (first != nullptr && cache_type(*first) != 0) return;
  table.erase(leaf);
  for (std::uint32_t subleaf = 0; subleaf < kMaxCaches; ++subleaf) {
    const CpuidEntry entry = host(leaf, subleaf);
    table.add(leaf, subleaf, entry);
    if (cache_type(entry) == 0) return;
  }
}

// AMD's older leaf of the first caches, which some versions of KVM leave empty.
void set_first_caches(CpuidTable& table, const HostCpuid& host) {
  constexpr std::uint32_t kLeaf = 0x80000005;
  if (table.max_extended() < kLeaf) return;
  CpuidEntry& entry = table.ensure(kLeaf);
  if ((entry.ecx | entry.edx) != 0) return;
  const CpuidEntry caches = host(kLeaf, 0);
  entry.eax = caches.eax;
  entry.ebx = caches.ebx;
  entry.ecx = caches.ecx;
  entry.edx = caches.edx;
}

}  // namespace

void set_topology(CpuidTable& table, const CpuTopology& topology) {
  set_basic(table, topology);
  set_extended(table, topology, 0xb);
  set_extended(table, topology, 0x1f);
  if (table.vendor() == CpuVendor::kAmd) set_amd(table, topology);
}

void set_caches(CpuidTable& table, const CpuTopology& topology, const HostCpuid& host) {
  const bool amd = table.vendor() == CpuVendor::kAmd;
  const std::uint32_t leaf = amd ? 0x8000001d : 0x4;
  if (amd) set_first_caches(table, host);
  if (amd ? table.max_extended() < leaf || !has_topology_extensions(table)
          : table.max_basic() < leaf) {
    return;
  }
  take_caches_of_host(table, leaf, host);
  for (CpuidEntry& entry : table.entries()) {
    if (entry.function != leaf || cache_type(entry) == 0) continue;
    const unsigned sharing = cache_level(entry) < 3 ? topology.threads_per_core : topology.cpus;
    put(entry.eax, 14, 12, std::bit_ceil(sharing) - 1);
    // Intel counts the package's cores here as well; the field has 6 bits.
    if (!amd) put(entry.eax, 26, 6, std::min(std::bit_ceil(topology.cores()) - 1, 63U));
  }
}

}  // namespace mote::arch
