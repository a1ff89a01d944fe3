// The list of CPUID answers while it is being made, and the parts that make it; see cpuid.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "arch/x86_64/cpuid.h"

namespace mote::arch {

enum class CpuVendor : std::uint8_t { kIntel, kAmd, kOther };

class CpuidTable {
 public:
  explicit CpuidTable(std::span<const CpuidEntry> entries)
      : entries_(entries.begin(), entries.end()) {}

  // The answer for a leaf, or nullptr. Valid until the next ensure() or erase().
  CpuidEntry* find(std::uint32_t leaf, std::uint32_t subleaf = 0);
  const CpuidEntry* find(std::uint32_t leaf, std::uint32_t subleaf = 0) const;
  // The answer for a leaf that has no subleaves; zeros where there was none.
  CpuidEntry& ensure(std::uint32_t leaf);
  // Adds an answer whose subleaf counts.
  void add(std::uint32_t leaf, std::uint32_t subleaf, const CpuidEntry& registers);
  // Takes all subleaves of a leaf out.
  void erase(std::uint32_t leaf);

  // The highest leaf below 0x40000000, and the highest from 0x80000000.
  std::uint32_t max_basic() const;
  std::uint32_t max_extended() const;
  CpuVendor vendor() const;

  std::span<CpuidEntry> entries() { return entries_; }
  std::vector<CpuidEntry> take() && { return std::move(entries_); }

 private:
  std::vector<CpuidEntry> entries_;
};

// The guest's package.
struct CpuTopology {
  unsigned cpus = 1;
  unsigned threads_per_core = 1;
  unsigned cores() const { return (cpus + threads_per_core - 1) / threads_per_core; }
};

// Who made the processor, what it is called, which hypervisor it runs under, how fast its TSC is.
void set_identity(CpuidTable& table, const CpuidInputs& inputs);
// How processors are numbered and share cores and package. The numbers of each one stay 0.
void set_topology(CpuidTable& table, const CpuTopology& topology);
// Which caches there are (the host's) and which processors share them (the guest's).
void set_caches(CpuidTable& table, const CpuTopology& topology, const HostCpuid& host);
// Takes out what the guest must not see, whatever KVM can do.
void hide_features(CpuidTable& table);

}  // namespace mote::arch
