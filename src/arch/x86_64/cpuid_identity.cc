// Who the processor says it is: name, hypervisor and frequency. The maker is the host's, as KVM
// gives it.

#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "arch/x86_64/cpuid_table.h"

namespace mote::arch {
namespace {

constexpr std::uint32_t kHypervisorLeaf = 0x40000000;
constexpr std::uint32_t kTimingLeaf = 0x40000010;
constexpr std::uint32_t kBrandLeaf = 0x80000002;
constexpr std::uint32_t kBrandLeaves = 3;
constexpr std::size_t kBrandBytes = 16;
// KVM's local APIC counts nanoseconds.
constexpr std::uint32_t kApicBusKhz = 1'000'000;

std::string brand_of_host(const HostCpuid& host) {
  if (host(0x80000000, 0).eax < kBrandLeaf + kBrandLeaves - 1) return {};
  std::array<char, kBrandBytes * kBrandLeaves> letters{};
  for (std::uint32_t part = 0; part < kBrandLeaves; ++part) {
    const CpuidEntry entry = host(kBrandLeaf + part, 0);
    const std::array<std::uint32_t, 4> words = {entry.eax, entry.ebx, entry.ecx, entry.edx};
    std::memcpy(letters.data() + part * kBrandBytes, words.data(), kBrandBytes);
  }
  const std::string_view view(letters.data(), letters.size());
  return std::string(view.substr(0, view.find('\0')));
}

// The name as Firecracker gives it: of the family, not the model, with the host's frequency. KVM
// gives none, so the host's must be asked where it matters; each CPUID instruction of ours is an
// exit where this host is a guest.
std::string guest_brand(CpuVendor vendor, const HostCpuid& host) {
  if (vendor == CpuVendor::kAmd) return "AMD EPYC";
  std::string name = brand_of_host(host);
  if (vendor != CpuVendor::kIntel) return name;
  const std::size_t frequency = name.find(" @ ");
  return "Intel(R) Xeon(R) Processor" +
         (frequency == std::string::npos ? std::string() : name.substr(frequency));
}

void set_brand(CpuidTable& table, const HostCpuid& host) {
  if (table.max_extended() < kBrandLeaf + kBrandLeaves - 1) return;
  std::string brand = guest_brand(table.vendor(), host);
  brand.resize(kBrandBytes * kBrandLeaves);
  brand.back() = '\0';
  for (std::uint32_t part = 0; part < kBrandLeaves; ++part) {
    std::array<std::uint32_t, 4> words{};
    std::memcpy(words.data(), brand.data() + part * kBrandBytes, kBrandBytes);
    CpuidEntry& entry = table.ensure(kBrandLeaf + part);
    entry.eax = words[0];
    entry.ebx = words[1];
    entry.ecx = words[2];
    entry.edx = words[3];
  }
}

void set_hypervisor(CpuidTable& table, const CpuidInputs& inputs) {
  constexpr std::uint32_t kHypervisorBit = 1U << 31;
  constexpr std::uint32_t kTscDeadlineBit = 1U << 24;
  CpuidEntry& features = table.ensure(1);
  features.ecx |= kHypervisorBit;
  features.ecx =
      inputs.tsc_deadline_timer ? features.ecx | kTscDeadlineBit : features.ecx & ~kTscDeadlineBit;
  CpuidEntry* hypervisor = table.find(kHypervisorLeaf);
  if (hypervisor == nullptr || inputs.tsc_khz == 0) return;
  // Frequencies of TSC and APIC bus, at the place where VMware began to tell them.
  if (hypervisor->eax < kTimingLeaf) hypervisor->eax = kTimingLeaf;
  CpuidEntry& timing = table.ensure(kTimingLeaf);
  timing.eax = inputs.tsc_khz;
  timing.ebx = kApicBusKhz;
}

// Intel's leaves of frequencies, where the processor has them. The crystal that they speak of also
// drives the local APIC's timer, and KVM's runs at 1 GHz.
void set_frequency(CpuidTable& table, std::uint32_t tsc_khz) {
  constexpr std::uint32_t kBusMhz = 100;
  if (table.vendor() != CpuVendor::kIntel || tsc_khz == 0) return;
  if (table.max_basic() >= 0x15) {
    CpuidEntry& tsc = table.ensure(0x15);
    tsc.eax = kApicBusKhz;  // TSC / crystal = EBX / EAX
    tsc.ebx = tsc_khz;
    tsc.ecx = kApicBusKhz * 1000;
    tsc.edx = 0;
  }
  if (table.max_basic() >= 0x16) {
    CpuidEntry& mhz = table.ensure(0x16);
    mhz.eax = tsc_khz / 1000;
    mhz.ebx = tsc_khz / 1000;
    mhz.ecx = kBusMhz;
    mhz.edx = 0;
  }
}

}  // namespace

void set_identity(CpuidTable& table, const CpuidInputs& inputs) {
  set_brand(table, inputs.host);
  set_hypervisor(table, inputs);
  set_frequency(table, inputs.tsc_khz);
}

}  // namespace mote::arch
