#include "machine/processors.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/msrs.h"
#include "arch/x86_64/static_template.h"
#include "arch/x86_64/tsc.h"

namespace mote::machine {
namespace {

std::optional<arch::StaticTemplate> static_template(const MachineConfig& config) {
  switch (config.cpu_template.value_or(CpuTemplate::None)) {
    case CpuTemplate::C3:
      return arch::StaticTemplate::kC3;
    case CpuTemplate::T2:
      return arch::StaticTemplate::kT2;
    case CpuTemplate::T2S:
      return arch::StaticTemplate::kT2S;
    case CpuTemplate::T2CL:
      return arch::StaticTemplate::kT2CL;
    case CpuTemplate::T2A:
      return arch::StaticTemplate::kT2A;
    case CpuTemplate::None:
    case CpuTemplate::V1N1:  // check() has refused it
      break;
  }
  return std::nullopt;
}

// The MSRs that mote sets anyway and those that the template changes, as they are to be.
Result<std::vector<kvm_msr_entry>> msr_values(const kvm::Vcpu& vcpu,
                                              std::span<const arch::MsrModifier> modifiers) {
  std::vector<kvm_msr_entry> values = arch::boot_msrs();
  std::vector<std::uint32_t> others;
  for (const arch::MsrModifier& modifier : modifiers) {
    if (std::ranges::find(values, modifier.index, &kvm_msr_entry::index) == values.end()) {
      others.push_back(modifier.index);
    }
  }
  if (!others.empty()) {
    MOTE_TRY(const std::vector<kvm_msr_entry> found, vcpu.msrs(others));
    values.insert(values.end(), found.begin(), found.end());
  }
  MOTE_CHECK(arch::modify(modifiers, values));
  return values;
}

// What the configuration's template changes; nothing without one.
Result<arch::CpuModifiers> modifiers_of(const VmConfig& config) {
  if (config.cpu_config) return parse(*config.cpu_config);
  const auto named = static_template(config.machine);
  return named ? arch::modifiers_of(*named) : arch::CpuModifiers{};
}

// What decides a vCPU's CPUID beside KVM's leaves and the configuration.
class HostTraits {
 public:
  // Outlived by `vm`.
  HostTraits(const kvm::Kvm& kvm, const kvm::Vm& vm)
      : vm_(&vm), deadline_(kvm.check(KVM_CAP_TSC_DEADLINE_TIMER) != 0) {}

  Result<void> set_cpuid(const kvm::Vcpu& vcpu, unsigned index,
                         std::span<const kvm_cpuid_entry2> leaves, unsigned cpus, bool smt) const {
    MOTE_TRY(const std::uint32_t tsc_khz, arch::host_tsc_khz(vcpu, *vm_));
    MOTE_TRY(const auto cpuid, arch::make_cpuid({.supported = leaves,
                                                 .cpus = cpus,
                                                 .smt = smt,
                                                 .tsc_khz = tsc_khz,
                                                 .tsc_deadline_timer = deadline_}));
    return vcpu.set_cpuid(arch::vcpu_cpuid(cpuid, index));
  }

 private:
  const kvm::Vm* vm_;
  bool deadline_;  // KVM has the timer
};

}  // namespace

VcpuThread::SetUp set_up_of_vcpus(const kvm::Kvm& kvm, const kvm::Vm& vm,
                                  std::shared_ptr<const SupportedCpuid> cpuid,
                                  const MachineConfig& config) {
  return [supported = std::move(cpuid), host = HostTraits(kvm, vm), cpus = config.vcpu_count,
          smt = config.smt](const kvm::Vcpu& vcpu, unsigned index) -> Result<void> {
    const auto& leaves = supported->get();
    if (!leaves) return std::unexpected(leaves.error());
    MOTE_CHECK(host.set_cpuid(vcpu, index, *leaves, cpus, smt));
    return vcpu.set_msrs(arch::boot_msrs());
  };
}

Result<std::vector<kvm_cpuid_entry2>> give_cpuid(const kvm::Kvm& kvm, const kvm::Vm& vm,
                                                 const SupportedCpuid& cpuid,
                                                 const MachineConfig& config, const kvm::Vcpu& vcpu,
                                                 unsigned index) {
  const auto& leaves = cpuid.get();
  if (!leaves) return std::unexpected(leaves.error());
  MOTE_CHECK(HostTraits(kvm, vm).set_cpuid(vcpu, index, *leaves, config.vcpu_count, config.smt));
  return vcpu.cpuid();
}

bool has_template(const VmConfig& config) {
  return config.cpu_config || static_template(config.machine);
}

Result<void> set_up_by_template(const kvm::Kvm& kvm, const kvm::Vm& vm, const SupportedCpuid& cpuid,
                                const VmConfig& config, std::span<const kvm::Vcpu> vcpus) {
  MOTE_TRY(std::vector<kvm_cpuid_entry2> leaves, cpuid.get());
  if (const auto named = static_template(config.machine); named && !config.cpu_config) {
    MOTE_CHECK(arch::check_processor(*named, leaves));
  }
  MOTE_TRY(const arch::CpuModifiers modifiers, modifiers_of(config));
  MOTE_CHECK(arch::modify(modifiers.cpuid, leaves));
  const HostTraits host(kvm, vm);
  for (unsigned index = 0; index < vcpus.size(); ++index) {
    // Read before the CPUID is set, which may take MSRs away.
    MOTE_TRY(const auto msrs, msr_values(vcpus[index], modifiers.msrs));
    MOTE_CHECK(
        host.set_cpuid(vcpus[index], index, leaves, config.machine.vcpu_count, config.machine.smt));
    MOTE_CHECK(vcpus[index].set_msrs(msrs));
  }
  return {};
}

std::vector<std::uint32_t> msrs_of_template(const VmConfig& config) {
  std::vector<std::uint32_t> indices;
  // check() has seen to it that it can be parsed.
  if (const auto modifiers = modifiers_of(config)) {
    for (const arch::MsrModifier& modifier : modifiers->msrs) indices.push_back(modifier.index);
  }
  return indices;
}

}  // namespace mote::machine
