// The processors of a machine as its configuration wants them: what KVM can give on this host,
// changed by a CPU template where there is one.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "arch/x86_64/cpu_modifiers.h"
#include "base/answer.h"
#include "base/result.h"
#include "kvm/kvm.h"
#include "machine/config.h"
#include "machine/vcpu_thread.h"

namespace mote::machine {

// KVM's CPUID, as asked on one thread and waited for by others.
using SupportedCpuid = Answer<Result<std::vector<kvm_cpuid_entry2>>>;

// What each vCPU is given on its own thread: its CPUID, of what KVM supports, and its MSRs.
// Outlived by `vm`.
VcpuThread::SetUp set_up_of_vcpus(const kvm::Kvm& kvm, const kvm::Vm& vm,
                                  std::shared_ptr<const SupportedCpuid> cpuid,
                                  const MachineConfig& config);

// The same CPUID for one vCPU, here and now: what KVM says that it has then.
Result<std::vector<kvm_cpuid_entry2>> give_cpuid(const kvm::Kvm& kvm, const kvm::Vm& vm,
                                                 const SupportedCpuid& cpuid,
                                                 const MachineConfig& config, const kvm::Vcpu& vcpu,
                                                 unsigned index);

bool has_template(const VmConfig& config);

// Gives all `vcpus` the same by the configuration's template, here and now, so that what the host
// or KVM refuses of it is an error of the assembly. Errors: a processor that the template is not
// for; a CPUID leaf or an MSR that is lacking, by its number; a value that KVM refuses.
Result<void> set_up_by_template(const kvm::Kvm& kvm, const kvm::Vm& vm, const SupportedCpuid& cpuid,
                                const VmConfig& config, std::span<const kvm::Vcpu> vcpus);

// MSRs that the template changes, which the machine's saved state holds besides the others.
std::vector<std::uint32_t> msrs_of_template(const VmConfig& config);

}  // namespace mote::machine
