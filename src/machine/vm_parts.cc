#include "machine/vm_parts.h"

#include <utility>

#include "arch/x86_64/layout.h"

namespace mote::machine {

namespace layout = arch::layout;

Result<void> check_kvm(const kvm::Kvm& kvm, const VmConfig& config) {
  std::vector<kvm::CapabilityChange> changes;
  if (config.cpu_config) {
    MOTE_TRY(arch::CpuModifiers modifiers, parse(*config.cpu_config));
    changes = std::move(modifiers.capabilities);
  }
  return kvm.require_capabilities(changes);
}

Result<void> register_ram(const kvm::Vm& vm, const memory::GuestMemory& memory,
                          const MachineConfig& config) {
  MOTE_CHECK(vm.set_memory(memory, config.track_dirty_pages));
  return vm.reserve_for_real_mode(layout::kKvmTss, layout::kKvmIdentityMap);
}

Result<void> add_processors(const kvm::Vm& vm, unsigned count, std::vector<kvm::Vcpu>& vcpus) {
  for (auto index = static_cast<unsigned>(vcpus.size()); index < count; ++index) {
    MOTE_TRY(kvm::Vcpu vcpu, vm.create_vcpu(index));
    vcpus.push_back(std::move(vcpu));
  }
  return {};
}

Result<std::vector<kvm::Vcpu>> make_processors(const kvm::Vm& vm, unsigned count) {
  MOTE_CHECK(vm.create_irqchip());
  std::vector<kvm::Vcpu> vcpus;
  MOTE_CHECK(add_processors(vm, count, vcpus));
  return vcpus;
}

}  // namespace mote::machine
