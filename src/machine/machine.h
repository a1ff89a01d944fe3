// Machine is one microVM: assembled from a configuration and booted, or made again from a saved
// state; then run, paused, saved and ended. It belongs to the machine thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "base/mapped_memory.h"
#include "bus/bus.h"
#include "devices/end.h"
#include "kvm/kvm.h"
#include "kvm/posted_writes.h"
#include "kvm/slots.h"
#include "machine/attachment.h"
#include "machine/board.h"
#include "machine/config.h"
#include "machine/device_list.h"
#include "machine/head_start.h"
#include "machine/metrics.h"
#include "machine/rendezvous.h"
#include "machine/shell.h"
#include "machine/state.h"
#include "machine/vcpu_thread.h"
#include "memory/address_space.h"
#include "memory/guest_memory.h"
#include "metadata/service.h"
#include "snapshot/mapped_file.h"
#include "snapshot/stamp.h"
#include "virtio/kinds.h"

namespace mote::machine {

// What of a machine is not in its configuration: the process that it runs in.
struct MachineOptions {
  BoardOptions board;
  // What the metadata service gives out and counts in, which a machine with mmds-config needs. Both
  // outlive the machine.
  const metadata::Store* metadata = nullptr;
  metadata::MmdsMetrics* metadata_metrics = nullptr;
  // Called once, on the machine thread, when the VM has ended: no vCPU runs any more, and nothing
  // is in flight.
  std::function<void(const devices::End&)> on_end;
  // Made before the configuration was read, where a launch is waited for.
  std::optional<HeadStart> head_start = {};
};

// What a machine that is made of a state has beside it.
struct RestoreSource {
  memory::GuestMemory memory;  // RAM, which has what the guest had there, or gets it by fill()
  // Called once the devices have brought their memory, and before any of it is touched: sees to it
  // that all has what the guest had there. Null: it has.
  std::function<Result<void>(const memory::GuestMemory&)> fill = {};
  // Lives as long as the machine.
  std::shared_ptr<void> keep = {};
  // A page-fault handler brings memory as it is touched.
  bool on_demand = false;
  arch::ClockStart clock = arch::ClockStart::kWhereItStopped;
  // Called when the machine runs for the first time.
  std::function<void()> begin = {};
  // What was made of the machine before, where it was.
  std::unique_ptr<Shell> shell = {};
  // Saved under the kernel that runs now: its KVM can give the guest what it gave it then.
  bool of_this_kernel = false;
  // Without a shell: begun before the state was read, with a VM.
  std::optional<HeadStart> head_start = {};
  // Which moment it is, where that is known.
  std::optional<snapshot::MomentId> moment = {};
  // What memory was mapped of, where it is a file that others may write.
  std::optional<snapshot::MappedFile> file = {};
};

class Machine {
 public:
  // Assembles the machine that `config` (checked before) describes, its vCPUs parked at the
  // kernel's entry. Errors say what of the configuration or of the host is in the way; nothing is
  // left behind. `loop` outlives the machine.
  static Result<std::unique_ptr<Machine>> boot(EventLoop& loop, const VmConfig& config,
                                               MachineOptions options);
  // Makes the machine that `state` was saved of, paused, over the memory of `source`.
  static Result<std::unique_ptr<Machine>> restore(EventLoop& loop, const VmConfig& config,
                                                  MachineOptions options, RestoreSource source,
                                                  const MachineState& state);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  // Stops what still runs.
  ~Machine();

  // What memory `config` wants; `shared`, where another process is to have it as well.
  static Result<memory::MemoryConfig> memory_config(const MachineConfig& config,
                                                    bool shared = false);
  // Fresh memory of that kind.
  static Result<memory::GuestMemory> make_memory(const MachineConfig& config, bool shared = false);

  // Lets input flow, and has all that the vCPUs need to run; also after pause(). Errors: the host
  // has no thread for one.
  Result<void> get_ready() REQUIRES(kMachineThread);
  // Then, as nothing can be in the way: lets the vCPUs run.
  void let_go() REQUIRES(kMachineThread);
  // Both.
  Result<void> run() REQUIRES(kMachineThread);
  // Parks the vCPUs and takes the devices' queues, with nothing in flight.
  void pause() REQUIRES(kMachineThread);
  // Marks in memory() which pages the guest wrote, as KVM has noted them up to now; nothing where
  // pages are not tracked. Of a paused machine.
  Result<void> collect_dirty_pages() REQUIRES(kMachineThread);
  // What GuestMemory does before it is frozen, of a machine that may run.
  void prepare_freeze() REQUIRES(kMachineThread) { memory_.prepare_freeze(); }
  // An error (kState) when the file that it was loaded of was changed in place since, so that its
  // memory is not what was saved.
  Result<void> check_memory_file() const {
    return memory_file_ ? memory_file_->check() : Result<void>{};
  }
  // GuestMemory::freeze() of a paused machine, which goes on in what is frozen. What memory puts
  // aside by that is taken down bit by bit, as the machine runs on.
  Result<std::uint64_t> freeze_memory() REQUIRES(kMachineThread);
  // The state of a paused machine.
  Result<MachineState> save() REQUIRES(kMachineThread);
  // What a snapshot of a paused machine is stamped with: the same until it has run.
  Result<snapshot::Stamp> stamp() REQUIRES(kMachineThread);
  // Everything is saved, and the next snapshot may be of changes since.
  void note_saved() REQUIRES(kMachineThread);
  // Ends the VM from outside; on_end() follows. From the machine thread or a
  // vCPU's.
  void end(devices::End end) EXCLUDES(end_mutex_);

  // Presses Ctrl-Alt-Del on the guest's keyboard. An error (kState): the guest does not use it.
  Result<void> press_ctrl_alt_del() REQUIRES(kMachineThread) {
    return board_->press_ctrl_alt_del();
  }

  // The device of kind D with `id` (none where a machine has one at most); null: there is none. It
  // lives as long as the machine.
  template <typename D>
  D* find(std::string_view id = {}) REQUIRES(kMachineThread) {
    return static_cast<D*>(find_device(virtio::kKindIndex<D>, id));
  }
  // As above; `kind` is a line of virtio::kDeviceKinds.
  virtio::Device* find_device(std::size_t kind, std::string_view id) REQUIRES(kMachineThread);

  const memory::GuestMemory& memory() const { return memory_; }
  std::size_t vcpu_count() const { return vcpus_.size(); }
  const VcpuMetrics& vcpu_metrics(std::size_t index) const { return vcpus_[index]->metrics(); }
  // Adds what it has counted up to now. It neither waits nor allocates; from a thread other than
  // the machine's, what is counted meanwhile may be in it or not.
  void count(MachineCounts& into) const;

  // After on_end(): closes the devices and what they hold of the host (files, sockets), while the
  // VM itself stays for whoever takes it down.
  void close_devices() REQUIRES(kMachineThread);

 private:
  using Devices = std::vector<std::unique_ptr<virtio::Device>>;

  Machine(EventLoop& loop, MachineOptions options, memory::GuestMemory memory,
          std::shared_ptr<const kvm::Kvm> kvm, kvm::Vm vm);

  // Steps of assembly, in order. Devices are made before the VM has its controllers, as some bring
  // memory, and attached after.
  void take_source(RestoreSource& source);
  Result<void> add_metadata(const VmConfig& config, const MachineState* state);
  Result<Devices> make_devices(const std::vector<ListedDevice>& devices,
                               const std::vector<SavedDevice>* states);
  Result<void> map_registers(std::size_t devices);
  Result<void> add_board(const BoardState* state);
  Result<void> attach_devices(const std::vector<ListedDevice>& devices, Devices made,
                              const std::vector<SavedDevice>* states);
  void add_vcpus(std::vector<kvm::Vcpu> vcpus);
  // Starts those that have no thread yet, on `threads` as far as there are any.
  Result<void> start_vcpus(const VcpuThread::SetUp& set_up,
                           std::vector<std::unique_ptr<Worker>> threads = {});

  void pause_devices();
  void kick_all();
  // Until those that have threads are parked or stopped.
  void wait_for_vcpus() REQUIRES(kMachineThread);
  void stop_vcpus() REQUIRES(kMachineThread);
  // Has the machine thread finish, once there is an end. From any thread.
  void post_finish() EXCLUDES(end_mutex_);
  void finish() REQUIRES(kMachineThread);

  EventLoop& loop_;
  MachineOptions options_;
  // In the order of what needs what: the last is taken down first.
  memory::GuestMemory memory_;
  std::shared_ptr<void> memory_source_;  // RestoreSource::keep
  bool memory_on_demand_ = false;        // RestoreSource::on_demand
  std::function<void()> begin_;          // RestoreSource::begin, until then
  MappedMemory registers_;  // a page a device, in their order: virtio::RegisterPage's memory
  std::shared_ptr<const kvm::Kvm> kvm_;
  kvm::Vm vm_;
  kvm::Slots slots_;
  memory::AddressSpace space_;
  memory::Slot registers_slot_;
  bus::Bus ports_;
  bus::Bus mmio_;
  Rendezvous rendezvous_;
  kvm::PostedWrites posted_;
  std::unique_ptr<Board> board_;
  std::unique_ptr<metadata::Service> metadata_;  // null: the guest has none
  std::vector<AttachedDevice> devices_;
  std::vector<std::unique_ptr<VcpuThread>> vcpus_;
  std::optional<EventLoop::Timer> aside_;           // while memory has something put aside
  std::optional<snapshot::Stamp> stamp_;            // of this pause
  std::optional<snapshot::MomentId> saved_moment_;  // of the last snapshot, or the one loaded
  std::optional<snapshot::MappedFile> memory_file_;
  std::vector<std::uint32_t> template_msrs_;  // saved besides those that are saved anyway
  bool input_started_ = false;
  bool finished_ = false;
  // Dies with the machine, so that what was posted knows.
  std::shared_ptr<void> alive_ = std::make_shared<char>();

  Mutex end_mutex_;
  std::optional<devices::End> end_ GUARDED_BY(end_mutex_);
};

}  // namespace mote::machine
