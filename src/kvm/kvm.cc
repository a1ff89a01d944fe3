#include "kvm/kvm.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <limits>

#include "kvm/counted_array.h"
#include "kvm/ioctl.h"

namespace mote::kvm {
namespace {

#define MOTE_CAPABILITY(name) \
  Capability { KVM_CAP_##name, #name }
constexpr std::array kNeeded{
    MOTE_CAPABILITY(IRQCHIP),        MOTE_CAPABILITY(USER_MEMORY),  MOTE_CAPABILITY(IOEVENTFD),
    MOTE_CAPABILITY(IRQFD),          MOTE_CAPABILITY(SET_TSS_ADDR), MOTE_CAPABILITY(PIT2),
    MOTE_CAPABILITY(PIT_STATE2),     MOTE_CAPABILITY(ADJUST_CLOCK), MOTE_CAPABILITY(MP_STATE),
    MOTE_CAPABILITY(VCPU_EVENTS),    MOTE_CAPABILITY(DEBUGREGS),    MOTE_CAPABILITY(XSAVE),
    MOTE_CAPABILITY(XCRS),           MOTE_CAPABILITY(EXT_CPUID),    MOTE_CAPABILITY(GET_TSC_KHZ),
    MOTE_CAPABILITY(IMMEDIATE_EXIT), MOTE_CAPABILITY(READONLY_MEM), MOTE_CAPABILITY(SYNC_REGS)};
#undef MOTE_CAPABILITY

// KVM's own limit of CPUID entries.
constexpr std::size_t kMaxCpuidEntries = 256;

const CapabilityChange* last_change(std::span<const CapabilityChange> changes,
                                    std::uint32_t number) {
  const auto last =
      std::find_if(changes.rbegin(), changes.rend(),
                   [number](const CapabilityChange& change) { return change.number == number; });
  return last == changes.rend() ? nullptr : &*last;
}

}  // namespace

std::span<const Capability> needed_capabilities() { return kNeeded; }

Result<Kvm> Kvm::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    return fail(ErrorKind::kNotFound,
                "'{}' does not exist: this host has no KVM, or its module (kvm_intel, kvm_amd) is "
                "not loaded",
                path);
  }
  if (!fd && (errno == EACCES || errno == EPERM)) {
    return fail(
        ErrorKind::kPermission,
        "no permission to open '{}': the user must be in the group that owns it, usually kvm",
        path);
  }
  if (!fd) return fail_errno(errno, "open '{}'", path);
  const int version = ::ioctl(fd.get(), KVM_GET_API_VERSION, 0);
  if (version != KVM_API_VERSION) {
    return fail(ErrorKind::kUnsupported, "'{}' is no KVM of API version {} (it answers {})", path,
                KVM_API_VERSION, version);
  }
  MOTE_TRY(const int run_size, MOTE_IOCTL(fd.get(), KVM_GET_VCPU_MMAP_SIZE, 0));
  if (static_cast<std::size_t>(run_size) < sizeof(kvm_run)) {
    return fail(ErrorKind::kUnsupported, "KVM shares {} bytes with a vCPU, fewer than {}", run_size,
                sizeof(kvm_run));
  }
  return Kvm(std::move(fd), static_cast<std::size_t>(run_size));
}

int Kvm::check(int capability) const {
  const int result = ::ioctl(fd_.get(), KVM_CHECK_EXTENSION, capability);
  return result < 0 ? 0 : result;
}

Result<void> Kvm::require_capabilities(std::span<const CapabilityChange> changes) const {
  for (const Capability& needed : kNeeded) {
    const CapabilityChange* change =
        last_change(changes, static_cast<std::uint32_t>(needed.number));
    if (change != nullptr && !change->needed) continue;
    if (check(needed.number) == 0) {
      return fail(ErrorKind::kUnsupported,
                  "this host's KVM lacks KVM_CAP_{}, which every microVM needs", needed.name);
    }
  }
  for (const CapabilityChange& change : changes) {
    if (!last_change(changes, change.number)->needed) continue;
    // A number that is no int is none of KVM's.
    const bool known = change.number <= std::numeric_limits<int>::max();
    if (!known || check(static_cast<int>(change.number)) == 0) {
      return fail(ErrorKind::kUnsupported,
                  "this host's KVM lacks capability {}, which the CPU configuration asks for",
                  change.number);
    }
  }
  return {};
}

Result<std::vector<kvm_cpuid_entry2>> Kvm::supported_cpuid() const {
  // Few processors have more leaves than the first attempt has room for.
  for (const std::size_t room : {kMaxCpuidEntries / 2, kMaxCpuidEntries}) {
    CountedArray<kvm_cpuid_entry2> entries(room);
    if (::ioctl(fd_.get(), kGetSupportedCpuid, entries.argument()) == 0) {
      const auto found = entries.elements();
      return std::vector(found.begin(), found.end());
    }
    if (errno != E2BIG) break;
  }
  return fail_errno(errno, "KVM_GET_SUPPORTED_CPUID");
}

Result<std::vector<std::uint32_t>> Kvm::msr_indices() const {
  // A count, then so many indices. The first call fails on purpose, and says how many there are.
  std::uint32_t count = 0;
  if (::ioctl(fd_.get(), kGetMsrIndexList, &count) < 0 && errno != E2BIG) {
    return fail_errno(errno, "KVM_GET_MSR_INDEX_LIST");
  }
  std::vector<std::uint32_t> list(1 + count);
  list[0] = count;
  MOTE_CHECK(checked_ioctl(fd_.get(), kGetMsrIndexList, "KVM_GET_MSR_INDEX_LIST", list.data()));
  list.resize(1 + std::min(list[0], count));
  list.erase(list.begin());
  return list;
}

Result<Vm> Kvm::create_vm() const {
  int fd = -1;
  do {
    fd = ::ioctl(fd_.get(), KVM_CREATE_VM, 0);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return fail_errno(errno, "KVM_CREATE_VM");
  return Vm(UniqueFd(fd), run_size_);
}

Result<void> Vm::set_memory(const memory::GuestMemory& memory, bool log_dirty_pages,
                            std::uint32_t first_slot) const {
  std::uint32_t slot = first_slot;
  for (const memory::RegionView& region : memory.regions()) {
    MOTE_CHECK(set_slot(slot++, region.range, region.host_address,
                        log_dirty_pages ? KVM_MEM_LOG_DIRTY_PAGES : 0));
  }
  return {};
}

Result<void> Vm::set_slot(std::uint32_t slot, const memory::Range& range,
                          std::uintptr_t host_address, std::uint32_t flags) const {
  const kvm_userspace_memory_region request{
      .slot = slot,
      .flags = flags,
      .guest_phys_addr = range.start,
      .memory_size = range.size,
      .userspace_addr = host_address,
  };
  MOTE_CHECK_WITHIN(MOTE_IOCTL(fd_.get(), KVM_SET_USER_MEMORY_REGION, &request),
                    "register {} KiB of guest memory at {:#x}", range.size >> 10, range.start);
  return {};
}

Result<void> Vm::clear_slot(std::uint32_t slot, const memory::Range& range) const {
  const kvm_userspace_memory_region request{.slot = slot,
                                            .flags = 0,
                                            .guest_phys_addr = range.start,
                                            .memory_size = 0,
                                            .userspace_addr = 0};
  MOTE_CHECK_WITHIN(MOTE_IOCTL(fd_.get(), KVM_SET_USER_MEMORY_REGION, &request),
                    "take {} KiB of guest memory at {:#x} back", range.size >> 10, range.start);
  return {};
}

Result<void> Vm::take_dirty_log(std::uint32_t slot, std::span<std::uint64_t> words) const {
  kvm_dirty_log log{};
  log.slot = slot;
  log.dirty_bitmap = words.data();
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_GET_DIRTY_LOG, &log));
  return {};
}

Result<void> Vm::reserve_for_real_mode(std::uint64_t tss, std::uint64_t identity_map) const {
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_SET_TSS_ADDR, tss));
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_SET_IDENTITY_MAP_ADDR, &identity_map));
  return {};
}

Result<void> Vm::create_irqchip() const {
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_CREATE_IRQCHIP, 0));
  return {};
}

Result<void> Vm::create_pit() const {
  const kvm_pit_config config{.flags = KVM_PIT_SPEAKER_DUMMY, .pad = {}};
  if (::ioctl(fd_.get(), KVM_CREATE_PIT2, &config) < 0 && errno != EEXIST)
    return fail_errno(errno, "KVM_CREATE_PIT2");
  return {};
}

Result<Vcpu> Vm::create_vcpu(std::uint32_t index) const {
  auto result = MOTE_IOCTL(fd_.get(), KVM_CREATE_VCPU, index);
  if (!result)
    return std::unexpected(std::move(result.error()).within(fmt::format("create vCPU {}", index)));
  UniqueFd fd(*result);
  MOTE_TRY(MappedMemory run,
           MappedMemory::map(run_size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get()));
  return Vcpu(std::move(fd), std::move(run));
}

Result<void> Vm::assign_irqfd(int eventfd, std::uint32_t gsi) const {
  kvm_irqfd request{};
  request.fd = static_cast<std::uint32_t>(eventfd);
  request.gsi = gsi;
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_IRQFD, &request));
  return {};
}

void Vm::pulse_irq(std::uint32_t gsi) const {
  kvm_irq_level line{};
  line.irq = gsi;
  // Lowered first: within another's pulse, raising it would be no edge.
  for (const std::uint32_t level : {0U, 1U, 0U}) {
    line.level = level;
    // It fails only for a VM without irqchip or a GSI that has no route, which assembly rules out.
    ::ioctl(fd_.get(), KVM_IRQ_LINE, &line);
  }
}

Result<void> Vm::assign_ioeventfd(int eventfd, std::uint64_t address,
                                  std::uint32_t datamatch) const {
  return set_ioeventfd(eventfd, address, datamatch, 0);
}

Result<void> Vm::unassign_ioeventfd(int eventfd, std::uint64_t address,
                                    std::uint32_t datamatch) const {
  return set_ioeventfd(eventfd, address, datamatch, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

Result<void> Vm::set_ioeventfd(int eventfd, std::uint64_t address, std::uint32_t datamatch,
                               std::uint32_t flags) const {
  kvm_ioeventfd request{};
  request.datamatch = datamatch;
  request.addr = address;
  request.len = sizeof(std::uint32_t);
  request.fd = eventfd;
  request.flags = KVM_IOEVENTFD_FLAG_DATAMATCH | flags;
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_IOEVENTFD, &request));
  return {};
}

Result<kvm_irqchip> Vm::irqchip(std::uint32_t chip) const {
  kvm_irqchip state{};
  state.chip_id = chip;
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_GET_IRQCHIP, &state));
  return state;
}

Result<void> Vm::set_irqchip(const kvm_irqchip& chip) const {
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_SET_IRQCHIP, &chip));
  return {};
}

Result<std::optional<kvm_pit_state2>> Vm::pit() const {
  kvm_pit_state2 state{};
  if (::ioctl(fd_.get(), KVM_GET_PIT2, &state) == 0) return state;
  if (errno == ENXIO) return std::nullopt;
  return fail_errno(errno, "KVM_GET_PIT2");
}

Result<void> Vm::set_pit(const kvm_pit_state2& pit) const {
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_SET_PIT2, &pit));
  return {};
}

Result<kvm_clock_data> Vm::clock() const {
  kvm_clock_data data{};
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_GET_CLOCK, &data));
  return data;
}

Result<void> Vm::set_clock(const kvm_clock_data& clock) const {
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_SET_CLOCK, &clock));
  return {};
}

Result<std::uint32_t> Vm::tsc_khz() const {
  MOTE_TRY(const int khz, MOTE_IOCTL(fd_.get(), KVM_GET_TSC_KHZ, 0));
  return static_cast<std::uint32_t>(khz);
}

int Vm::check(int capability) const {
  const int result = ::ioctl(fd_.get(), KVM_CHECK_EXTENSION, capability);
  return result < 0 ? 0 : result;
}

}  // namespace mote::kvm
