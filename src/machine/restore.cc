// A machine is made again from a saved state: the same steps as for a launch (assembly.cc), with
// the state in place of a kernel.
#include <span>
#include <utility>

#include "arch/x86_64/cpu_compatibility.h"
#include "machine/machine.h"
#include "machine/processors.h"
#include "machine/vm_parts.h"

namespace mote::machine {
namespace {

// Whether KVM can give here what the guest of `state` was given.
Result<void> check_processors(const SupportedCpuid& supported, const MachineState& state) {
  const auto& leaves = supported.get();
  if (!leaves) return std::unexpected(leaves.error());
  for (std::size_t i = 0; i < state.vcpus.size(); ++i) {
    const std::vector<std::string> missing = arch::missing_features(state.vcpus[i].cpuid, *leaves);
    if (missing.empty()) continue;
    return fail(ErrorKind::kUnsupported,
                "vCPU {} was given what this host lacks: {}. A snapshot for other hosts is of a "
                "machine with a cpu-config that leaves it out",
                i, fmt::join(missing, ", "));
  }
  return {};
}

// A shell with a VM for `vcpus` processors: the one that was made before, or one with nothing in it
// yet. A VM with processors that its machine has not would keep a clock that all agree on from it.
Result<std::unique_ptr<Shell>> shell_for(RestoreSource& source, unsigned vcpus) {
  if (source.shell && source.shell->vcpus.size() <= vcpus) return std::move(source.shell);
  if (source.head_start) return Shell::make_empty(std::move(*source.head_start));
  MOTE_TRY(HeadStart start,
           source.of_this_kernel ? HeadStart::make_unasked() : HeadStart::make_with_vm());
  return Shell::make_empty(std::move(start));
}

// `count` processors for the VM of `shell`, and the controllers, where it has not got them.
Result<std::vector<kvm::Vcpu>> complete(const kvm::Vm& vm, Shell& shell, unsigned count,
                                        bool asks) {
  std::vector<kvm::Vcpu> vcpus = std::move(shell.vcpus);
  if (!vcpus.empty()) {
    MOTE_CHECK(add_processors(vm, count, vcpus));
    return vcpus;
  }
  MOTE_CHECK(vm.create_irqchip());
  if (asks) shell.head_start.ask(*shell.threads.front());
  MOTE_CHECK(add_processors(vm, count, vcpus));
  return vcpus;
}

// The VM's controllers and processors as they were. `given` is the CPUID that the first have.
Result<void> restore_processors(const kvm::Vm& vm, const std::vector<kvm::Vcpu>& vcpus,
                                const MachineState& state, arch::ClockStart start,
                                std::span<const std::vector<kvm_cpuid_entry2>> given) {
  // The clock before the vCPUs, whose kvmclock starts from it.
  MOTE_CHECK(arch::restore_vm(vm, state.vm, start));
  MOTE_TRY(const kvm_clock_data now, vm.clock());
  const arch::ClockMoments clock{.saved = state.vm.clock, .now = now};
  for (std::size_t i = 0; i < vcpus.size(); ++i) {
    const auto cpuid = i < given.size() ? std::span(given[i]) : std::span<const kvm_cpuid_entry2>();
    MOTE_CHECK_WITHIN(arch::restore_vcpu(vcpus[i], i, state.vcpus[i], vm, clock, cpuid), "vCPU {}",
                      i);
  }
  return {};
}

}  // namespace

// What brings memory ends before memory does, also after an error.
void Machine::take_source(RestoreSource& source) {
  memory_source_ = std::move(source.keep);
  memory_on_demand_ = source.on_demand;
  begin_ = std::move(source.begin);
  saved_moment_ = source.moment;
  memory_file_ = std::move(source.file);
}

Result<std::unique_ptr<Machine>> Machine::restore(EventLoop& loop, const VmConfig& config,
                                                  MachineOptions options, RestoreSource source,
                                                  const MachineState& state) {
  const std::vector<ListedDevice> devices = list_devices(config);
  if (state.vcpus.size() != config.machine.vcpu_count || state.devices.size() != devices.size()) {
    return fail(
        ErrorKind::kInvalid, "the state has {} vCPUs and {} devices, the configuration {} and {}",
        state.vcpus.size(), state.devices.size(), config.machine.vcpu_count, devices.size());
  }
  if (state.vm.pit && !options.board.pit) {
    return fail(ErrorKind::kInvalid,
                "the guest uses its PIT, which --no-pit leaves out; load it without that flag");
  }
  MOTE_TRY(std::unique_ptr<Shell> shell, shell_for(source, config.machine.vcpu_count));
  const HeadStart& head_start = shell->head_start;
  std::unique_ptr<Machine> machine(new Machine(loop, std::move(options), std::move(source.memory),
                                               head_start.kvm, std::move(shell->vm)));
  machine->take_source(source);
  const kvm::Vm& vm = machine->vm_;
  const bool made_before = !shell->vcpus.empty();
  const auto check_host = [&head_start, &source, &state]() -> Result<void> {
    return source.of_this_kernel ? Result<void>() : check_processors(*head_start.cpuid, state);
  };
  // Whoever made a shell has looked, as has this kernel's KVM when the guest was made.
  if (!(made_before || source.of_this_kernel) || config.cpu_config) {
    MOTE_CHECK(check_kvm(*head_start.kvm, config));
  }
  if (made_before) {
    MOTE_CHECK(shell->give_memory(vm, machine->memory_, config.machine.track_dirty_pages));
  } else {
    shell->threads.front()->roam();
    MOTE_CHECK(register_ram(vm, machine->memory_, config.machine));
  }
  MOTE_CHECK(machine->add_metadata(config, &state));
  MOTE_TRY(auto made, machine->make_devices(devices, &state.devices));
  if (source.fill) MOTE_CHECK(source.fill(machine->memory_));
  MOTE_CHECK(machine->map_registers(devices.size()));
  MOTE_TRY(auto vcpus,
           complete(vm, *shell, config.machine.vcpu_count, /*asks=*/!source.of_this_kernel));
  if (const auto set = restore_processors(vm, vcpus, state, source.clock, shell->cpuids); !set) {
    // Says more than KVM where the host lacks something that they were given.
    MOTE_CHECK(check_host());
    return std::unexpected(set.error());
  }
  MOTE_CHECK(machine->add_board(&state.board));
  MOTE_CHECK(machine->attach_devices(devices, std::move(made), &state.devices));
  machine->add_vcpus(std::move(vcpus));
  machine->template_msrs_ = msrs_of_template(config);
  MOTE_CHECK(check_host());
  // A guest for whose clock it is suddenly later is not to believe that it was stuck so long.
  if (source.clock == arch::ClockStart::kNow) {
    for (const auto& vcpu : machine->vcpus_) vcpu->note_pause();
  }
  MOTE_CHECK(machine->start_vcpus(nullptr, std::move(shell->threads)));
  return machine;
}

}  // namespace mote::machine
