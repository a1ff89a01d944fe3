#include "machine/machine.h"

#include <sys/random.h>

#include <algorithm>

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/memory_map.h"
#include "arch/x86_64/msrs.h"

namespace mote::machine {

namespace {

std::vector<memory::Range> device_windows(const memory::GuestMemory& memory) {
  std::vector<memory::Range> ram;
  for (const memory::RegionView& region : memory.regions()) ram.push_back(region.range);
  return arch::device_memory_windows(ram, arch::host_physical_bits());
}

}  // namespace

Machine::Machine(EventLoop& loop, MachineOptions options, memory::GuestMemory memory,
                 std::shared_ptr<const kvm::Kvm> kvm, kvm::Vm vm)
    : loop_(loop),
      options_(std::move(options)),
      memory_(std::move(memory)),
      kvm_(std::move(kvm)),
      vm_(std::move(vm)),
      slots_(vm_, memory_.config().track_dirty_pages),
      space_(
          memory_, [this] { return device_windows(memory_); }, slots_),
      rendezvous_(loop),
      posted_(vm_, [this](std::uint16_t port, std::span<const std::byte> data) {
        ports_.write(port, data);
      }) {}

Machine::~Machine() {
  kMachineThread.assert_held();
  stop_vcpus();
  vcpus_.clear();
  space_.close();
}

Result<void> Machine::get_ready() {
  for (const AttachedDevice& device : devices_) device.attachment.transport().resume();
  if (!input_started_) board_->start_input();
  input_started_ = true;
  MOTE_CHECK(start_vcpus(nullptr));
  if (const auto begin = std::exchange(begin_, nullptr)) begin();
  stamp_.reset();
  return {};
}

void Machine::let_go() {
  rendezvous_.give(Rendezvous::Order::kRun, [] {});
}

Result<void> Machine::run() {
  MOTE_CHECK(get_ready());
  let_go();
  return {};
}

void Machine::pause() {
  rendezvous_.give(Rendezvous::Order::kPark, [this] { kick_all(); });
  wait_for_vcpus();
  posted_.deliver();
  pause_devices();
  board_->release_output();
  for (const auto& vcpu : vcpus_) vcpu->note_pause();
}

Result<MachineState> Machine::save() {
  if (rendezvous_.order() == Rendezvous::Order::kRun) {
    return fail(ErrorKind::kState, "a machine is saved while it is paused, and this one runs");
  }
  MachineState state;
  MOTE_TRY(const std::vector<std::uint32_t> indices, kvm_->msr_indices());
  const std::vector<std::uint32_t> msrs = arch::msrs_to_save(indices, template_msrs_);
  const auto xsave_size = static_cast<std::size_t>(vm_.check(KVM_CAP_XSAVE2));
  // The vCPUs first: reading them lets KVM settle what the controllers still had for them.
  wait_for_vcpus();
  for (const auto& vcpu : vcpus_) {
    MOTE_TRY(const kvm::Vcpu* settled, vcpu->settled());
    MOTE_TRY(arch::VcpuState saved, arch::save_vcpu(*settled, msrs, xsave_size));
    state.vcpus.push_back(std::move(saved));
  }
  MOTE_TRY(state.vm, arch::save_vm(vm_));
  const std::uint32_t host_khz = vm_.tsc_khz().value_or(0);
  for (std::size_t i = 0; i < vcpus_.size(); ++i) {
    MOTE_CHECK(arch::settle_tsc(vcpus_[i]->vcpu(), state.vm.clock, host_khz, state.vcpus[i].msrs));
  }
  state.board = board_->save();
  if (metadata_) state.metadata = metadata_->save();
  for (const AttachedDevice& device : devices_) {
    MOTE_TRY(DeviceState own,
             save_device(device.kind, fmt::format("{} '{}'", device.section, device.id),
                         *device.device));
    MOTE_TRY(virtio::MmioState transport, device.attachment.transport().save());
    state.devices.push_back({.section = std::string(device.section),
                             .id = device.id,
                             .transport = std::move(transport),
                             .device = std::move(own)});
  }
  return state;
}

Result<snapshot::Stamp> Machine::stamp() {
  if (stamp_) return *stamp_;
  snapshot::Stamp fresh;
  if (::getrandom(fresh.moment.data(), fresh.moment.size(), 0) !=
      static_cast<ssize_t>(fresh.moment.size())) {
    return fail_errno(errno, "random bytes for the name of a snapshot");
  }
  // Untracked changes are all since the start or the load, and fit whatever was saved since.
  if (memory_.config().track_dirty_pages) fresh.previous = saved_moment_;
  stamp_ = fresh;
  return fresh;
}

void Machine::note_saved() {
  memory_.clear_dirty();
  if (stamp_) saved_moment_ = stamp_->moment;
}

Result<void> Machine::collect_dirty_pages() {
  if (!memory_.config().track_dirty_pages) return {};
  std::map<std::uint32_t, memory::Range> slots = slots_.logged();
  std::uint32_t number = 0;
  for (const memory::RegionView& region : memory_.regions()) slots[number++] = region.range;
  std::vector<std::uint64_t> words;
  for (const auto& [slot, range] : slots) {
    words.assign((range.size / memory::kPageSize + 63) / 64, 0);
    MOTE_CHECK(vm_.take_dirty_log(slot, words));
    memory_.merge_dirty(range.start, words);
  }
  return {};
}

void Machine::end(devices::End end) {
  {
    MutexLock lock(end_mutex_);
    if (end_) return;
    end_ = std::move(end);
  }
  // At once, so that the vCPU which met the end runs no further. Its thread posts the rest when it
  // has stopped: the machine thread is then woken once.
  rendezvous_.order_stop();
  if (rendezvous_.on_machine_thread()) post_finish();
}

void Machine::post_finish() {
  {
    MutexLock lock(end_mutex_);
    if (!end_) return;
  }
  loop_.post([this, alive = std::weak_ptr<void>(alive_)] {
    kMachineThread.assert_held();
    if (!alive.expired()) finish();
  });
}

virtio::Device* Machine::find_device(std::size_t kind, std::string_view id) {
  for (const AttachedDevice& device : devices_) {
    if (device.kind == kind && device.id == id) return device.device.get();
  }
  return nullptr;
}

void Machine::count(MachineCounts& into) const {
  for (const auto& vcpu : vcpus_) merge(into.vcpu, vcpu->metrics());
  if (board_) board_->count(into);
  into.missed_accesses = ports_.missed() + mmio_.missed();
  for (const AttachedDevice& attached : devices_) {
    if (into.used == into.slots.size()) return;
    into.slots[into.used++] = {.device = attached.device.get(),
                               .id = attached.id,
                               .transport = attached.attachment.transport().metrics(),
                               .metrics = count_device(attached.kind, *attached.device)};
  }
}

void Machine::pause_devices() {
  for (const AttachedDevice& device : devices_) device.attachment.transport().pause();
}

void Machine::close_devices() {
  devices_.clear();
  board_.reset();
}

void Machine::kick_all() {
  for (const auto& vcpu : vcpus_) vcpu->kick();
}

void Machine::wait_for_vcpus() {
  rendezvous_.wait_for(static_cast<std::size_t>(
      std::ranges::count_if(vcpus_, [](const auto& vcpu) { return vcpu->started(); })));
}

void Machine::stop_vcpus() {
  if (vcpus_.empty()) return;
  rendezvous_.give(Rendezvous::Order::kStop, [this] { kick_all(); });
  wait_for_vcpus();
  posted_.close();
}

void Machine::finish() {
  if (std::exchange(finished_, true)) return;
  stop_vcpus();
  posted_.deliver();
  pause_devices();
  board_->release_output();
  devices::End end;
  {
    MutexLock lock(end_mutex_);
    end = *end_;
  }
  if (end.reason == devices::EndReason::kError || end.reason == devices::EndReason::kTripleFault) {
    // Then KVM or the guest is the last to be asked why.
    const auto as_it_was = check_memory_file();
    if (!as_it_was) end.message += "; " + as_it_was.error().text();
  }
  options_.on_end(end);
}

}  // namespace mote::machine
