// How a Machine is put together: the steps, and what holds after each.
#include <fcntl.h>

#include "arch/x86_64/boot.h"
#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/memory_map.h"
#include "arch/x86_64/msrs.h"
#include "arch/x86_64/registers.h"
#include "machine/machine.h"

namespace mote::machine {

namespace layout = arch::layout;

namespace {

// One line each for VMGenID and for a second generation counter to come; the rest is for devices.
constexpr std::size_t kMostDrives = kVmGenIdGsi - 1 - layout::kFirstDeviceGsi;

MmioPlace place_of(std::size_t index) {
  return {.base = layout::virtio_mmio_window(static_cast<unsigned>(index)),
          .gsi = layout::kFirstDeviceGsi + static_cast<std::uint32_t>(index)};
}

// The root drive comes first, so that it is /dev/vda.
std::vector<const virtio::BlockConfig*> in_guest_order(
    const std::vector<virtio::BlockConfig>& configs) {
  std::vector<const virtio::BlockConfig*> ordered;
  for (const bool root : {true, false}) {
    for (const virtio::BlockConfig& config : configs) {
      if (config.is_root_device == root) ordered.push_back(&config);
    }
  }
  return ordered;
}

Result<arch::Cmdline> make_cmdline(const VmConfig& config,
                                   const std::vector<arch::MmioDevice>& devices) {
  MOTE_TRY(arch::Cmdline cmdline, arch::Cmdline::parse(config.boot_source.boot_args.value_or(
                                      std::string(arch::Cmdline::kDefault))));
  for (const virtio::BlockConfig& drive : config.drives) {
    if (!drive.is_root_device) continue;
    MOTE_CHECK(cmdline.add_root(drive.partuuid.value_or(""), drive.is_read_only.value_or(false)));
  }
  for (const arch::MmioDevice& device : devices) {
    MOTE_CHECK(cmdline.add_virtio_mmio(device.size, device.base, device.gsi));
  }
  return cmdline;
}

arch::BootProtocolChoice protocol_choice(BootProtocol protocol) {
  switch (protocol) {
    case BootProtocol::Pvh:
      return arch::BootProtocolChoice::kPvh;
    case BootProtocol::Linux64:
      return arch::BootProtocolChoice::kLinux64;
    case BootProtocol::Auto:
      break;
  }
  return arch::BootProtocolChoice::kAuto;
}

// A file that the guest boots from, open for as long as it is loaded.
struct OpenBootFile {
  UniqueFd fd;
  arch::BootFile file;
};

Result<OpenBootFile> open_boot_file(const std::string& path, const char* what) {
  auto fd = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!fd) return std::unexpected(std::move(fd.error()).within(fmt::format("{} '{}'", what, path)));
  const int number = fd->get();
  return OpenBootFile{.fd = std::move(*fd), .file = {.fd = number, .name = path}};
}

Result<void> set_up_vcpu(const kvm::Vcpu& vcpu, unsigned index,
                         std::span<const arch::CpuidEntry> cpuid,
                         std::span<const kvm_msr_entry> msrs) {
  MOTE_CHECK(vcpu.set_cpuid(arch::vcpu_cpuid(cpuid, index)));
  MOTE_CHECK(vcpu.set_msrs(msrs));
  MOTE_CHECK(vcpu.set_fpu(arch::boot_fpu()));
  MOTE_TRY(kvm_lapic_state lapic, vcpu.lapic());
  arch::set_lapic_pins(lapic);
  return vcpu.set_lapic(lapic);
}

Result<void> enter_at(const kvm::Vcpu& vcpu, const arch::BootState& state) {
  kvm_regs regs{};
  MOTE_TRY(kvm_sregs sregs, vcpu.sregs());
  arch::set_boot_registers(state, regs, sregs);
  MOTE_CHECK(vcpu.set_sregs(sregs));
  return vcpu.set_regs(regs);
}

}  // namespace

Result<memory::GuestMemory> Machine::make_memory(const MachineConfig& config) {
  memory::MemoryConfig wanted;
  // Every processor of this kind reaches 64 GiB. Asking costs an exit where this host is a guest
  // itself.
  constexpr unsigned kLeastPhysicalBits = 36;
  const bool small = config.mem_size_mib < (std::uint64_t{1} << (kLeastPhysicalBits - 1 - 20));
  MOTE_TRY(wanted.ranges,
           arch::memory_ranges(config.mem_size_mib << 20,
                               small ? kLeastPhysicalBits : arch::host_physical_bits()));
  wanted.backing = config.huge_pages == HugePages::TwoMib ? memory::Backing::kHugetlb2M
                                                          : memory::Backing::kAnonymous;
  wanted.transparent_huge_pages = config.huge_pages == HugePages::Transparent;
  wanted.track_dirty_pages = config.track_dirty_pages;
  return memory::GuestMemory::create(wanted);
}

Result<std::unique_ptr<Machine>> Machine::boot(EventLoop& loop, const VmConfig& config,
                                               MachineOptions options) {
  MOTE_TRY(memory::GuestMemory memory, make_memory(config.machine));
  // A VM with its memory, controllers and timer.
  MOTE_TRY(auto machine, create(loop, config.machine, std::move(options), std::move(memory)));
  // Its processors, which have to come after the controllers.
  MOTE_TRY(auto vcpus, machine->make_vcpus(config.machine.vcpu_count));
  // Everything that the guest can reach by address.
  MOTE_CHECK(machine->add_board(nullptr));
  MOTE_CHECK(machine->add_drives(config.drives, nullptr));
  // A kernel in memory, and processors that will enter it.
  MOTE_CHECK(machine->load(config, vcpus));
  MOTE_CHECK(machine->start_threads(std::move(vcpus)));
  return machine;
}

Result<std::unique_ptr<Machine>> Machine::restore(EventLoop& loop, const VmConfig& config,
                                                  MachineOptions options,
                                                  memory::GuestMemory memory,
                                                  const MachineState& state) {
  if (state.vcpus.size() != config.machine.vcpu_count ||
      state.drives.size() != config.drives.size()) {
    return fail(
        ErrorKind::kInvalid, "the state has {} vCPUs and {} drives, the configuration {} and {}",
        state.vcpus.size(), state.drives.size(), config.machine.vcpu_count, config.drives.size());
  }
  MOTE_TRY(auto machine, create(loop, config.machine, std::move(options), std::move(memory)));
  MOTE_TRY(auto vcpus, machine->make_vcpus(config.machine.vcpu_count));
  MOTE_CHECK(machine->add_board(&state.board));
  MOTE_CHECK(machine->add_drives(config.drives, &state.drives));
  // The clock before the vCPUs, whose kvmclock starts from it.
  MOTE_CHECK(arch::restore_vm(machine->vm_, state.vm));
  for (std::size_t i = 0; i < vcpus.size(); ++i) {
    MOTE_CHECK_WITHIN(arch::restore_vcpu(vcpus[i], state.vcpus[i]), "vCPU {}", i);
  }
  MOTE_CHECK(machine->start_threads(std::move(vcpus)));
  return machine;
}

Result<std::unique_ptr<Machine>> Machine::create(EventLoop& loop, const MachineConfig& config,
                                                 MachineOptions options,
                                                 memory::GuestMemory memory) {
  MOTE_TRY(kvm::Kvm kvm, kvm::Kvm::open());
  MOTE_CHECK(kvm.require_capabilities());
  MOTE_TRY(kvm::Vm vm, kvm.create_vm());
  // Memory before the controllers: their registration leaves a grace period that a change of slots
  // waits out.
  MOTE_CHECK(vm.set_memory(memory, config.track_dirty_pages));
  MOTE_CHECK(vm.reserve_for_real_mode(layout::kKvmTss, layout::kKvmIdentityMap));
  MOTE_CHECK(vm.create_irqchip());
  MOTE_CHECK(vm.create_pit());
  return std::unique_ptr<Machine>(
      new Machine(loop, std::move(options), std::move(memory), std::move(kvm), std::move(vm)));
}

Result<std::vector<kvm::Vcpu>> Machine::make_vcpus(unsigned count) const {
  std::vector<kvm::Vcpu> vcpus;
  for (unsigned index = 0; index < count; ++index) {
    MOTE_TRY(kvm::Vcpu vcpu, vm_.create_vcpu(index));
    vcpus.push_back(std::move(vcpu));
  }
  return vcpus;
}

Result<void> Machine::add_board(const BoardState* state) {
  const BoardSite site{.loop = loop_, .vm = vm_, .memory = memory_, .ports = ports_, .mmio = mmio_};
  MOTE_TRY(board_,
           Board::create(
               site, options_.board, [this](devices::End what) { end(std::move(what)); }, state));
  return {};
}

Result<void> Machine::add_drives(const std::vector<virtio::BlockConfig>& configs,
                                 const std::vector<DriveState>* states) {
  if (configs.size() > kMostDrives) {
    return fail(ErrorKind::kInvalid, "there are {} drives, and a machine has room for {} devices",
                configs.size(), kMostDrives);
  }
  const AttachmentSite site{
      .loop = loop_, .vm = vm_, .mmio = mmio_, .memory = memory_, .rendezvous = rendezvous_};
  for (const virtio::BlockConfig* config : in_guest_order(configs)) {
    const std::size_t index = drives_.size();
    const DriveState* state = states == nullptr ? nullptr : &(*states)[index];
    if (state != nullptr && state->drive_id != config->drive_id) {
      return fail(ErrorKind::kInvalid, "drive {} of the state is '{}', of the configuration '{}'",
                  index, state->drive_id, config->drive_id);
    }
    MOTE_TRY(auto device, state == nullptr ? virtio::Block::create(*config)
                                           : virtio::Block::restore(*config, state->device));
    MOTE_TRY(Attachment attachment,
             Attachment::create(site, place_of(index), fmt::format("drive '{}'", config->drive_id),
                                *device, state == nullptr ? nullptr : &state->transport));
    drives_.push_back(
        {.id = config->drive_id, .device = std::move(device), .attachment = std::move(attachment)});
  }
  return {};
}

Result<void> Machine::load(const VmConfig& config, std::vector<kvm::Vcpu>& vcpus) {
  arch::BootInputs inputs;
  for (std::size_t i = 0; i < drives_.size(); ++i) {
    const MmioPlace place = place_of(i);
    inputs.devices.mmio.push_back(
        {.base = place.base, .size = virtio::Mmio::kSize, .gsi = place.gsi});
  }
  inputs.devices.vmgenid = arch::VmGenIdDevice{.address = layout::kVmGenId, .gsi = kVmGenIdGsi};
  inputs.devices.com2 = options_.board.com2.has_value();
  inputs.cpus = config.machine.vcpu_count;
  inputs.protocol = protocol_choice(config.boot_source.boot_protocol);
  MOTE_TRY(inputs.cmdline, make_cmdline(config, inputs.devices.mmio));
  MOTE_TRY(const OpenBootFile kernel,
           open_boot_file(config.boot_source.kernel_image_path, "kernel"));
  inputs.kernel = kernel.file;
  std::optional<OpenBootFile> initrd;
  if (config.boot_source.initrd_path) {
    MOTE_TRY(initrd, open_boot_file(*config.boot_source.initrd_path, "initrd"));
    inputs.initrd = initrd->file;
  }
  MOTE_TRY(const arch::BootState entry, arch::prepare_boot(memory_, inputs));

  MOTE_TRY(const auto supported, kvm_.supported_cpuid());
  MOTE_TRY(const std::uint32_t tsc_khz, vcpus.front().tsc_khz());
  MOTE_TRY(const auto cpuid,
           arch::make_cpuid({.supported = supported,
                             .cpus = inputs.cpus,
                             .smt = config.machine.smt,
                             .tsc_khz = tsc_khz,
                             .tsc_deadline_timer = kvm_.check(KVM_CAP_TSC_DEADLINE_TIMER) != 0}));
  const auto msrs = arch::boot_msrs();
  for (unsigned i = 0; i < vcpus.size(); ++i) {
    MOTE_CHECK_WITHIN(set_up_vcpu(vcpus[i], i, cpuid, msrs), "set up vCPU {}", i);
  }
  return enter_at(vcpus.front(), entry);
}

Result<void> Machine::start_threads(std::vector<kvm::Vcpu> vcpus) {
  for (unsigned i = 0; i < vcpus.size(); ++i) {
    MOTE_TRY(auto thread, VcpuThread::start(std::move(vcpus[i]), i, ports_, mmio_, rendezvous_,
                                            [this](devices::End what) { end(std::move(what)); }));
    vcpus_.push_back(std::move(thread));
  }
  return {};
}

}  // namespace mote::machine
