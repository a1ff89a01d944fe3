#include "machine/shell.h"

#include <sys/mman.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "arch/x86_64/layout.h"
#include "machine/machine.h"
#include "machine/vm_parts.h"

namespace mote::machine {
namespace {

constexpr std::uint64_t kAlignment = 2 << 20;
// Addresses that nothing else of the process gets: the kernel gives others out from above, or from
// a third of all upwards. At random in between, like those.
constexpr std::uint64_t kLowest = std::uint64_t{17} << 40;
constexpr std::uint64_t kSpan = std::uint64_t{20} << 40;

std::uint64_t aligned(std::uint64_t size) { return (size + kAlignment - 1) & ~(kAlignment - 1); }

static_assert(kMaxShellMib << 20 < kSpan / 2);

// Addresses for `size` bytes, which are mapped to nothing.
Result<MappedMemory> find_room(std::uint64_t size) {
  for (int tries = 0; tries < 8; ++tries) {
    std::uint64_t number = 0;
    if (::getrandom(&number, sizeof number, 0) != sizeof number) {
      return fail_errno(errno, "choose addresses for memory");
    }
    auto* const wanted =
        reinterpret_cast<std::byte*>(kLowest + number % ((kSpan - size) / kAlignment) * kAlignment);
    void* const got =
        ::mmap(wanted, size, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == wanted) return MappedMemory::adopt(wanted, size);
    if (got != MAP_FAILED) ::munmap(got, size);
  }
  return fail(ErrorKind::kResource, "{} MiB of addresses are not free", size >> 20);
}

void touch(std::span<std::byte> bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += memory::kPageSize) {
    auto* const byte = static_cast<volatile std::byte*>(&bytes[at]);
    *byte = *byte;
  }
}

// A load has pages of stack and heap that nothing has touched yet.
void touch_ahead() {
  constexpr std::size_t kStack = 48 << 10;
  // From the top of what there is, and below what is mapped.
  constexpr std::size_t kHeap = 96 << 10;
  std::array<std::byte, kStack> stack;
  touch(stack);
  const auto heap = std::make_unique_for_overwrite<std::byte[]>(kHeap);
  touch({heap.get(), kHeap});
}

}  // namespace

Result<std::unique_ptr<Shell>> Shell::make_empty(HeadStart start) {
  auto made = start.vm ? start.vm->take() : start.kvm->create_vm();
  MOTE_TRY(kvm::Vm vm, std::move(made));
  std::unique_ptr<Shell> shell(new Shell(std::move(start), std::move(vm)));
  shell->threads.push_back(std::move(shell->head_start.first_thread));
  return shell;
}

Result<std::unique_ptr<Shell>> Shell::make(unsigned vcpus, std::uint64_t mem_size_mib) {
  MachineConfig config;
  config.mem_size_mib = mem_size_mib;
  config.vcpu_count = vcpus;
  MOTE_CHECK(check(config));
  MOTE_TRY(HeadStart start, HeadStart::make_with_vm());
  MOTE_TRY(std::unique_ptr<Shell> shell, make_empty(std::move(start)));
  MOTE_CHECK(shell->head_start.kvm->require_capabilities());
  shell->threads.front()->roam();
  MOTE_TRY(const memory::MemoryConfig memory, Machine::memory_config(config));
  shell->ranges_ = memory.ranges;
  // Before the controllers, as any machine's.
  MOTE_CHECK(shell->lay_slots());
  MOTE_CHECK(shell->vm.reserve_for_real_mode(arch::layout::kKvmTss, arch::layout::kKvmIdentityMap));
  MOTE_TRY(shell->vcpus, make_processors(shell->vm, vcpus));
  for (unsigned index = 1; index < vcpus; ++index) {
    MOTE_TRY(auto thread, Worker::start(ThreadKind::kVcpu));
    shell->threads.push_back(std::move(thread));
  }
  // Whoever loads later does not wait for it.
  shell->head_start.ask(*shell->threads.front());
  MOTE_CHECK(shell->prepare_vcpus(config));
  touch_ahead();
  return shell;
}

// A vCPU that is told to leave before it enters the guest has KVM make what it makes at the first
// KVM_RUN of a VM: a thread of its own.
Result<void> Shell::prepare_vcpus(const MachineConfig& config) {
  for (unsigned index = 0; index < vcpus.size(); ++index) {
    kvm::Vcpu& vcpu = vcpus[index];
    MOTE_TRY(auto cpuid, give_cpuid(*head_start.kvm, vm, *head_start.cpuid, config, vcpu, index));
    cpuids.push_back(std::move(cpuid));
    threads[index]->run([&vcpu] {
      vcpu.shared().immediate_exit = 1;
      static_cast<void>(vcpu.run());
      vcpu.shared().immediate_exit = 0;
      touch(vcpu.shared_bytes(memory::kPageSize, 1));  // where an exit's data is
    });
    threads[index]->wait();
  }
  return {};
}

// KVM does not look at what is behind a slot until the guest does; so nothing need be there.
Result<void> Shell::lay_slots() {
  std::uint64_t size = 0;
  for (const memory::Range& range : ranges_) size += aligned(range.size);
  MOTE_TRY(const MappedMemory room, find_room(size));
  std::uint64_t at = 0;
  for (std::uint32_t slot = 0; slot < ranges_.size(); ++slot) {
    std::byte* const place = room.data() + at;
    MOTE_CHECK(vm.set_slot(slot, ranges_[slot], reinterpret_cast<std::uintptr_t>(place), 0));
    places_.push_back(place);
    at += aligned(ranges_[slot].size);
  }
  return {};
}

std::vector<std::byte*> Shell::places(const std::vector<memory::Range>& ranges) const {
  const bool fits = std::ranges::equal(ranges, ranges_, [](const auto& one, const auto& other) {
    return one.start == other.start && one.size == other.size;
  });
  return fits ? places_ : std::vector<std::byte*>{};
}

Result<void> Shell::give_memory(const kvm::Vm& made, const memory::GuestMemory& memory,
                                bool log_dirty_pages) const {
  const std::vector<memory::RegionView> regions = memory.regions();
  const bool there = std::ranges::equal(
      regions, places_, {}, &memory::RegionView::host_address,
      [](const std::byte* place) { return reinterpret_cast<std::uintptr_t>(place); });
  if (there && !log_dirty_pages) return {};
  if (!there) {
    for (std::uint32_t slot = 0; slot < ranges_.size(); ++slot) {
      MOTE_CHECK(made.clear_slot(slot, ranges_[slot]));
    }
  }
  return made.set_memory(memory, log_dirty_pages);
}

}  // namespace mote::machine
