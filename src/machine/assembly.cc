// How a Machine is put together: the steps, and what holds after each.
#include <fcntl.h>
#include <sys/mman.h>

#include <memory>
#include <string>
#include <utility>

#include "arch/x86_64/boot.h"
#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/memory_map.h"
#include "arch/x86_64/registers.h"
#include "machine/machine.h"
#include "machine/processors.h"
#include "machine/vm_parts.h"

namespace mote::machine {

namespace layout = arch::layout;

namespace {

static_assert(kMaxDevices == layout::kLastDeviceGsi - layout::kFirstDeviceGsi + 1);
static_assert(kMaxBootArgs == layout::kCmdlineMaxSize - 1);

MmioPlace place_of(std::size_t index) {
  return {.base = layout::virtio_mmio_window(static_cast<unsigned>(index)),
          .gsi = layout::kFirstDeviceGsi + static_cast<std::uint32_t>(index)};
}

Result<arch::Cmdline> make_cmdline(const VmConfig& config,
                                   const std::vector<arch::MmioDevice>& devices) {
  MOTE_TRY(arch::Cmdline cmdline, arch::Cmdline::parse(config.boot_source.boot_args.value_or(
                                      std::string(arch::Cmdline::kDefault))));
  for (const virtio::BlockConfig& drive : config.drives) {
    if (!drive.is_root_device) continue;
    MOTE_CHECK(cmdline.add_root(drive.partuuid.value_or(""), drive.is_read_only.value_or(false)));
  }
  for (const virtio::PmemConfig& pmem : config.pmem) {
    // The root device is the first of its kind.
    if (pmem.root_device) {
      MOTE_CHECK(cmdline.add(pmem.read_only ? "root=/dev/pmem0 ro" : "root=/dev/pmem0 rw"));
    }
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

std::vector<std::unique_ptr<Worker>> only(std::unique_ptr<Worker> thread) {
  std::vector<std::unique_ptr<Worker>> threads;
  threads.push_back(std::move(thread));
  return threads;
}

arch::PlatformDevices describe_devices(std::size_t count, bool com2) {
  arch::PlatformDevices devices;
  for (std::size_t i = 0; i < count; ++i) {
    const MmioPlace place = place_of(i);
    devices.mmio.push_back({.base = place.base, .size = virtio::Mmio::kSize, .gsi = place.gsi});
  }
  devices.vmgenid = arch::VmGenIdDevice{.address = layout::kVmGenId, .gsi = layout::kVmGenIdGsi};
  devices.vmclock = arch::VmClockDevice{.address = layout::kVmClock, .gsi = layout::kVmClockGsi};
  devices.com2 = com2;
  return devices;
}

// A kernel in memory with what it wants to know, of `devices` virtio devices too, and where to
// enter it.
Result<arch::BootState> load_software(const memory::GuestMemory& memory, const VmConfig& config,
                                      std::size_t devices, bool com2) {
  const BootSource& source = config.boot_source;
  arch::BootInputs inputs;
  inputs.devices = describe_devices(devices, com2);
  inputs.cpus = config.machine.vcpu_count;
  inputs.protocol = protocol_choice(source.boot_protocol);
  MOTE_TRY(inputs.cmdline, make_cmdline(config, inputs.devices.mmio));
  MOTE_TRY(const OpenBootFile kernel, open_boot_file(source.kernel_image_path, "kernel"));
  inputs.kernel = kernel.file;
  std::optional<OpenBootFile> initrd;
  if (source.initrd_path) {
    MOTE_TRY(initrd, open_boot_file(*source.initrd_path, "initrd"));
    inputs.initrd = initrd->file;
  }
  return arch::prepare_boot(memory, inputs);
}

}  // namespace

Result<memory::MemoryConfig> Machine::memory_config(const MachineConfig& config, bool shared) {
  memory::MemoryConfig wanted;
  // Every processor of this kind reaches 64 GiB. Asking costs an exit where this host is a guest
  // itself.
  constexpr unsigned kLeastPhysicalBits = 36;
  const bool small = config.mem_size_mib < (std::uint64_t{1} << (kLeastPhysicalBits - 1 - 20));
  MOTE_TRY(wanted.ranges,
           arch::memory_ranges(config.mem_size_mib << 20,
                               small ? kLeastPhysicalBits : arch::host_physical_bits()));
  wanted.backing = shared || config.forkable                ? memory::Backing::kMemfd
                   : config.huge_pages == HugePages::TwoMib ? memory::Backing::kHugetlb2M
                                                            : memory::Backing::kAnonymous;
  wanted.transparent_huge_pages = config.huge_pages == HugePages::Transparent;
  wanted.track_dirty_pages = config.track_dirty_pages;
  wanted.freezable = config.forkable;
  return wanted;
}

Result<memory::GuestMemory> Machine::make_memory(const MachineConfig& config, bool shared) {
  MOTE_TRY(const memory::MemoryConfig wanted, memory_config(config, shared));
  return memory::GuestMemory::create(wanted);
}

Result<std::unique_ptr<Machine>> Machine::boot(EventLoop& loop, const VmConfig& config,
                                               MachineOptions options) {
  const std::vector<ListedDevice> devices = list_devices(config);
  auto head_start = std::exchange(options.head_start, std::nullopt);
  if (!head_start) {
    MOTE_TRY(head_start, HeadStart::make());
  }
  const kvm::Kvm& kvm = *head_start->kvm;
  MOTE_CHECK(check_kvm(kvm, config));
  MOTE_TRY(memory::GuestMemory memory, make_memory(config.machine, needs_shared_memory(config)));
  // Before the VM, so that KVM has told its CPUID when the first slot waits out its grace period:
  // that ends on one of the host's processors, which must not be busy with the answer.
  MOTE_TRY(const arch::BootState entry,
           load_software(memory, config, devices.size(), options.board.com2.has_value()));
  MOTE_TRY(kvm::Vm vm, kvm.create_vm());
  std::unique_ptr<Machine> machine(
      new Machine(loop, std::move(options), std::move(memory), head_start->kvm, std::move(vm)));
  head_start->first_thread->roam();
  MOTE_CHECK(register_ram(machine->vm_, machine->memory_, config.machine));
  MOTE_CHECK(machine->add_metadata(config, nullptr));
  MOTE_TRY(auto made, machine->make_devices(devices, nullptr));
  MOTE_CHECK(machine->map_registers(devices.size()));
  MOTE_TRY(auto vcpus, make_processors(machine->vm_, config.machine.vcpu_count));
  // Without a template the vCPUs get ready on their own threads meanwhile.
  VcpuThread::SetUp set_up;
  if (has_template(config)) {
    MOTE_CHECK(set_up_by_template(kvm, machine->vm_, *head_start->cpuid, config, vcpus));
    machine->template_msrs_ = msrs_of_template(config);
  } else {
    set_up = set_up_of_vcpus(kvm, machine->vm_, head_start->cpuid, config.machine);
  }
  machine->add_vcpus(std::move(vcpus));
  MOTE_CHECK(machine->start_vcpus(set_up, only(std::move(head_start->first_thread))));

  // Everything else that the guest can reach by address.
  MOTE_CHECK(machine->add_board(nullptr));
  MOTE_CHECK(machine->attach_devices(devices, std::move(made), nullptr));

  kvm_regs regs{};
  kvm_sregs sregs{};
  sregs.apic_base = layout::kBootApicBase;
  arch::set_boot_registers(entry, regs, sregs);
  machine->vcpus_.front()->enter_at(regs, sregs);
  return machine;
}

Result<void> Machine::add_board(const BoardState* state) {
  const BoardSite site{.loop = loop_,
                       .vm = vm_,
                       .memory = memory_,
                       .ports = ports_,
                       .mmio = mmio_,
                       .posted = posted_};
  MOTE_TRY(board_,
           Board::create(
               site, options_.board, [this](devices::End what) { end(std::move(what)); }, state));
  return {};
}

// As the state says where there is one, since the guest knows it so.
Result<void> Machine::add_metadata(const VmConfig& config, const MachineState* state) {
  if (state == nullptr ? !config.mmds_config : !state->metadata) return {};
  if (options_.metadata == nullptr || options_.metadata_metrics == nullptr) {
    return fail(ErrorKind::kInternal, "mmds-config: the metadata service has nothing to give out");
  }
  if (state == nullptr) {
    metadata_ = std::make_unique<metadata::Service>(*config.mmds_config, *options_.metadata,
                                                    *options_.metadata_metrics);
    return {};
  }
  MOTE_TRY(metadata_, metadata::Service::restore(*state->metadata, *options_.metadata,
                                                 *options_.metadata_metrics));
  return {};
}

Result<Machine::Devices> Machine::make_devices(const std::vector<ListedDevice>& devices,
                                               const std::vector<SavedDevice>* states) {
  virtio::DeviceServices services{.loop = loop_, .memory = memory_, .space = space_};
  if (metadata_) {
    services.in_front_of_link = [this](std::string_view id, std::unique_ptr<network::Link> link) {
      return metadata_->in_front_of(id, std::move(link));
    };
  }
  Devices made;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const ListedDevice& listed = devices[i];
    const SavedDevice* saved = states == nullptr ? nullptr : &(*states)[i];
    if (saved != nullptr && (saved->section != listed.section || saved->id != listed.id)) {
      return fail(ErrorKind::kInvalid,
                  "device {} of the state is '{}' of {}, of the configuration '{}' of {}", i,
                  saved->id, saved->section, listed.id, listed.section);
    }
    MOTE_TRY(auto device,
             make_device(listed, services, saved == nullptr ? nullptr : &saved->device));
    made.push_back(std::move(device));
  }
  return made;
}

// What the guest reads of its devices' windows, in one slot; before the controllers, as all memory.
Result<void> Machine::map_registers(std::size_t devices) {
  if (devices == 0) return {};
  const std::size_t size = devices * virtio::Mmio::kSize;
  MOTE_TRY(registers_,
           MappedMemory::map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS));
  MOTE_TRY(registers_slot_, space_.map({.start = place_of(0).base, .size = size}, registers_.data(),
                                       memory::Access::kRead));
  return {};
}

Result<void> Machine::attach_devices(const std::vector<ListedDevice>& devices, Devices made,
                                     const std::vector<SavedDevice>* states) {
  if (devices.empty()) return {};
  // KVM keeps what it needs of it.
  MOTE_TRY(const UniqueFd unheard, make_eventfd());
  const AttachmentSite site{.loop = loop_,
                            .vm = vm_,
                            .mmio = mmio_,
                            .memory = memory_,
                            .rendezvous = rendezvous_,
                            .memory_on_demand = memory_on_demand_,
                            .unheard = unheard.get()};
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const ListedDevice& listed = devices[i];
    MmioPlace place = place_of(i);
    place.page = registers_.bytes().subspan(i * virtio::Mmio::kSize).data();
    MOTE_TRY(Attachment attachment,
             Attachment::create(site, place, listed.name, *made[i],
                                states == nullptr ? nullptr : &(*states)[i].transport));
    devices_.push_back({.kind = listed.kind,
                        .section = listed.section,
                        .id = listed.id,
                        .device = std::move(made[i]),
                        .attachment = std::move(attachment)});
  }
  return {};
}

void Machine::add_vcpus(std::vector<kvm::Vcpu> vcpus) {
  for (unsigned i = 0; i < vcpus.size(); ++i) {
    vcpus_.push_back(std::make_unique<VcpuThread>(
        std::move(vcpus[i]), i,
        VcpuContext{.ports = ports_,
                    .mmio = mmio_,
                    .posted = posted_,
                    .rendezvous = rendezvous_,
                    .end = [this](devices::End what) { end(std::move(what)); },
                    .stopped = [this] { post_finish(); }}));
  }
  posted_.set_vcpu(vcpus_.front()->vcpu());
}

Result<void> Machine::start_vcpus(const VcpuThread::SetUp& set_up,
                                  std::vector<std::unique_ptr<Worker>> threads) {
  std::size_t used = 0;
  for (const auto& vcpu : vcpus_) {
    if (vcpu->started()) continue;
    auto thread = used < threads.size() ? std::move(threads[used++]) : nullptr;
    MOTE_CHECK(vcpu->start(set_up, std::move(thread)));
  }
  return {};
}

}  // namespace mote::machine
