#include "machine/fork.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "base/file.h"
#include "snapshot/describe.h"

namespace mote::machine {
namespace {

// So long at a time, and so often, the machine thread takes down what memory has put aside; first
// when whoever forks has had an answer, and a child has begun.
constexpr std::chrono::microseconds kDropFor(300);
constexpr std::chrono::milliseconds kDropEvery(4);

// Notes which file `first` is.
Result<void> identify(int first, ForkedMemory& memory) {
  struct stat facts{};
  if (!look_at(first, facts)) return fail_errno(errno, "look at the first layer of memory");
  memory.inode = facts.st_ino;
  memory.changed = static_cast<std::uint64_t>(facts.st_mtim.tv_sec) * 1'000'000'000 +
                   static_cast<std::uint64_t>(facts.st_mtim.tv_nsec);
  return {};
}

// Whether `files` begin with the very file that was frozen, and not a copy, which another host may
// have made.
bool is_of_this_kernel(const std::vector<UniqueFd>& files, const ForkedMemory& saved) {
  ForkedMemory found;
  return !files.empty() && saved.inode != 0 && identify(files.front().get(), found) &&
         found.inode == saved.inode && found.changed == saved.changed;
}

Result<std::uint64_t> inode_of(int layer) {
  struct stat facts{};
  if (!look_at(layer, facts)) return fail_errno(errno, "look at a layer of memory");
  return facts.st_ino;
}

// Whether those behind the first of `files`, which is the one that was frozen, are so as well:
// whoever has the descriptors of several forks may have mixed them up.
Result<void> check_later(const std::vector<UniqueFd>& files, const ForkedMemory& saved) {
  for (std::size_t i = 1; i < files.size() && i <= saved.later.size(); ++i) {
    MOTE_TRY(const std::uint64_t inode, inode_of(files[i].get()));
    if (inode == saved.later[i - 1]) continue;
    return fail(ErrorKind::kInvalid,
                "descriptor {} of those of memory is not of the fork that the state is of", i + 1);
  }
  return {};
}

}  // namespace

Result<std::uint64_t> Machine::freeze_memory() {
  MOTE_TRY(const std::uint64_t copied, memory_.freeze());
  if (!memory_.drop_aside({})) return copied;
  auto timer = loop_.timer([this] {
    kMachineThread.assert_held();
    if (memory_.drop_aside(kDropFor)) return;
    static_cast<void>(aside_->disarm());
  });
  if (timer && timer->set_periodic(kDropEvery)) {
    aside_ = std::move(*timer);
  } else {
    while (memory_.drop_aside(kDropFor)) {
    }
  }
  return copied;
}

Result<Frozen> freeze(Machine& machine, const VmConfig& config) {
  if (!config.machine.forkable && machine.memory().layers().files.empty()) {
    return fail(ErrorKind::kState,
                "its memory cannot be shared with another: a microVM is forked whose "
                "machine-config says \"forkable\": true before its start");
  }
  if (machine.memory().contents().size() > machine.memory().regions().size()) {
    return fail(
        ErrorKind::kUnsupported,
        "a microVM with memory-hotplug cannot be forked: what was plugged in is not shared");
  }
  MOTE_CHECK(machine.check_memory_file());
  Frozen frozen;
  MOTE_TRY(frozen.state.machine, machine.save());
  MOTE_TRY(const snapshot::Stamp stamp, machine.stamp());
  frozen.moment = stamp.moment;
  MOTE_TRY(frozen.copied_bytes, machine.freeze_memory());
  frozen.layers = machine.memory().layers();
  frozen.state.memory = snapshot::parts_of(machine.memory());
  frozen.state.config = config;
  frozen.state.cpu_config = config.cpu_config;
  frozen.state.forked = ForkedMemory{.extents = frozen.layers.extents};
  if (!frozen.layers.files.empty()) {
    MOTE_CHECK(identify(frozen.layers.files.front()->get(), *frozen.state.forked));
  }
  for (std::size_t i = 1; i < frozen.layers.files.size(); ++i) {
    MOTE_TRY(frozen.state.forked->later.emplace_back(), inode_of(frozen.layers.files[i]->get()));
  }
  return frozen;
}

Result<std::vector<UniqueFd>> descriptors_of(const Frozen& frozen, const std::string& maker) {
  const std::vector<std::byte> bytes = state_bytes(frozen.state, maker, frozen.moment);
  UniqueFd state(::memfd_create("microvm-state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!state) return fail_errno(errno, "create a memfd for the state");
  MOTE_CHECK(write_at(state.get(), bytes, 0));
  if (::fcntl(state.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) <
      0) {
    return fail_errno(errno, "seal the state");
  }
  std::vector<UniqueFd> descriptors;
  descriptors.push_back(std::move(state));
  for (const auto& layer : frozen.layers.files) {
    MOTE_TRY(UniqueFd own, layer->duplicate());
    descriptors.push_back(std::move(own));
  }
  return descriptors;
}

Result<FromDescriptors> read_descriptors(std::vector<UniqueFd> descriptors) {
  if (descriptors.size() < 2) {
    return fail(ErrorKind::kInvalid,
                "{} descriptors came with the request; backend_type Descriptors takes that of the "
                "state and those of its memory (SCM_RIGHTS)",
                descriptors.size());
  }
  FromDescriptors from;
  MOTE_TRY(from.loaded, read_snapshot_of(descriptors.front().get(), "the state's descriptor"));
  descriptors.erase(descriptors.begin());
  from.memory = std::move(descriptors);
  if (!from.loaded.state.forked && from.memory.size() > 1) {
    return fail(ErrorKind::kInvalid, "{} descriptors of memory came for a state that has one file",
                from.memory.size());
  }
  return from;
}

Result<RestoreSource> map_descriptors(FromDescriptors& from, const MachineConfig& config,
                                      const Shell* shell) {
  const SnapshotState& state = from.loaded.state;
  if (!state.forked) {
    return map_open_snapshot(from.loaded, config, std::move(from.memory.front()),
                             "the memory's descriptor", shell);
  }
  MOTE_TRY(memory::MemoryConfig wanted, restored_memory(state, config));
  if (state.memory.size() != wanted.ranges.size()) {
    return fail(ErrorKind::kInvalid, "the state has memory of devices, which a fork has not");
  }
  const bool of_this_kernel = is_of_this_kernel(from.memory, *state.forked);
  if (of_this_kernel) MOTE_CHECK(check_later(from.memory, *state.forked));
  memory::Layers layers{.files = {}, .extents = state.forked->extents};
  for (UniqueFd& file : from.memory) {
    layers.files.push_back(std::make_shared<const UniqueFd>(std::move(file)));
  }
  const auto places = shell == nullptr ? std::vector<std::byte*>{} : shell->places(wanted.ranges);
  MOTE_TRY(memory::GuestMemory memory,
           memory::GuestMemory::map_layers(std::move(wanted), std::move(layers), places));
  return RestoreSource{.memory = std::move(memory), .of_this_kernel = of_this_kernel};
}

}  // namespace mote::machine
