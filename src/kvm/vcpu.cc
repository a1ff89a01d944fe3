#include <algorithm>
#include <iterator>

#include "kvm/counted_array.h"
#include "kvm/ioctl.h"
#include "kvm/kvm.h"

namespace mote::kvm {
namespace {

// KVM reads and writes at most so many MSRs in one call; more than any VM has.
constexpr std::size_t kMaxMsrs = 1024;

template <typename T>
Result<T> get(int fd, unsigned long request, const char* name) {
  T value{};
  MOTE_CHECK(checked_ioctl(fd, request, name, &value));
  return value;
}

template <typename T>
Result<void> set(int fd, unsigned long request, const char* name, const T& value) {
  MOTE_CHECK(checked_ioctl(fd, request, name, &value));
  return {};
}

// KVM answers with zeros where it has no leaf: one that holds nothing else only lengthens its
// searches, of which it makes many as it takes the leaves (20 us of 80). Those of the topology are
// kept, as KVM takes the answer for one that it has not from another.
bool tells_something(const kvm_cpuid_entry2& entry) {
  constexpr std::uint32_t kTopology = 0xb;
  constexpr std::uint32_t kTopologyV2 = 0x1f;
  return (entry.eax | entry.ebx | entry.ecx | entry.edx) != 0 || entry.function == kTopology ||
         entry.function == kTopologyV2;
}

kvm_device_attr tsc_offset_attribute(std::uint64_t& offset) {
  return {.flags = 0,
          .group = KVM_VCPU_TSC_CTRL,
          .attr = KVM_VCPU_TSC_OFFSET,
          .addr = reinterpret_cast<std::uintptr_t>(&offset)};
}

#define MOTE_GET(type, request) get<type>(fd_.get(), (request), #request)
#define MOTE_SET(request, value) set(fd_.get(), (request), #request, (value))

}  // namespace

Result<RunOutcome> Vcpu::run() {
  if (::ioctl(fd_.get(), KVM_RUN, 0) == 0) return RunOutcome::kExit;
  if (errno == EINTR || errno == EAGAIN) return RunOutcome::kInterrupted;
  return fail_errno(errno, "KVM_RUN");
}

std::span<std::byte> Vcpu::shared_bytes(std::uint64_t offset, std::size_t length) const {
  if (offset > run_.size() || length > run_.size() - offset) return {};
  return run_.bytes().subspan(offset, length);
}

Result<void> Vcpu::set_cpuid(std::span<const kvm_cpuid_entry2> entries) const {
  std::vector<kvm_cpuid_entry2> telling;
  std::ranges::copy_if(entries, std::back_inserter(telling), tells_something);
  CountedArray<kvm_cpuid_entry2> buffer(telling);
  MOTE_CHECK(checked_ioctl(fd_.get(), kSetCpuid2, "KVM_SET_CPUID2", buffer.argument()));
  return {};
}

Result<std::vector<kvm_cpuid_entry2>> Vcpu::cpuid() const {
  constexpr std::size_t kMost = 256;  // KVM's own limit
  CountedArray<kvm_cpuid_entry2> buffer(kMost);
  MOTE_CHECK(checked_ioctl(fd_.get(), kGetCpuid2, "KVM_GET_CPUID2", buffer.argument()));
  const auto entries = buffer.elements();
  return std::vector(entries.begin(), entries.end());
}

Result<kvm_regs> Vcpu::regs() const { return MOTE_GET(kvm_regs, KVM_GET_REGS); }
Result<void> Vcpu::set_regs(const kvm_regs& regs) const { return MOTE_SET(KVM_SET_REGS, regs); }
Result<kvm_sregs> Vcpu::sregs() const { return MOTE_GET(kvm_sregs, KVM_GET_SREGS); }
Result<void> Vcpu::set_sregs(const kvm_sregs& sregs) const {
  return MOTE_SET(KVM_SET_SREGS, sregs);
}
void Vcpu::start_with(const kvm_regs& regs, const kvm_sregs& sregs) const {
  kvm_run& run = shared();
  run.s.regs.regs = regs;
  run.s.regs.sregs = sregs;
  run.kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}
Result<kvm_lapic_state> Vcpu::lapic() const { return MOTE_GET(kvm_lapic_state, KVM_GET_LAPIC); }
Result<void> Vcpu::set_lapic(const kvm_lapic_state& lapic) const {
  return MOTE_SET(KVM_SET_LAPIC, lapic);
}
Result<kvm_mp_state> Vcpu::mp_state() const { return MOTE_GET(kvm_mp_state, KVM_GET_MP_STATE); }
Result<void> Vcpu::set_mp_state(const kvm_mp_state& state) const {
  return MOTE_SET(KVM_SET_MP_STATE, state);
}
Result<kvm_vcpu_events> Vcpu::events() const {
  return MOTE_GET(kvm_vcpu_events, KVM_GET_VCPU_EVENTS);
}
Result<void> Vcpu::set_events(const kvm_vcpu_events& events) const {
  return MOTE_SET(KVM_SET_VCPU_EVENTS, events);
}
Result<kvm_debugregs> Vcpu::debugregs() const { return MOTE_GET(kvm_debugregs, KVM_GET_DEBUGREGS); }
Result<void> Vcpu::set_debugregs(const kvm_debugregs& registers) const {
  return MOTE_SET(KVM_SET_DEBUGREGS, registers);
}
Result<kvm_xcrs> Vcpu::xcrs() const { return MOTE_GET(kvm_xcrs, KVM_GET_XCRS); }
Result<void> Vcpu::set_xcrs(const kvm_xcrs& xcrs) const { return MOTE_SET(KVM_SET_XCRS, xcrs); }

Result<std::vector<kvm_msr_entry>> Vcpu::msrs(std::span<const std::uint32_t> indices) const {
  std::vector<kvm_msr_entry> found;
  while (!indices.empty()) {
    const auto part = indices.first(std::min(indices.size(), kMaxMsrs));
    CountedArray<kvm_msr_entry> buffer(part.size());
    for (std::size_t i = 0; i < part.size(); ++i) buffer.data()[i].index = part[i];
    MOTE_TRY(const int result,
             checked_ioctl(fd_.get(), kGetMsrs, "KVM_GET_MSRS", buffer.argument()));
    const auto count = static_cast<std::size_t>(result);
    found.insert(found.end(), buffer.data(), buffer.data() + count);
    // KVM stops at the first that it cannot read: that one is left out, and the rest asked for
    // again.
    indices = indices.subspan(count < part.size() ? count + 1 : part.size());
  }
  return found;
}

Result<void> Vcpu::set_msrs(std::span<const kvm_msr_entry> entries) const {
  while (!entries.empty()) {
    const auto part = entries.first(std::min(entries.size(), kMaxMsrs));
    CountedArray<kvm_msr_entry> buffer(part);
    MOTE_TRY(const int count,
             checked_ioctl(fd_.get(), kSetMsrs, "KVM_SET_MSRS", buffer.argument()));
    if (static_cast<std::size_t>(count) < part.size()) {
      const kvm_msr_entry& refused = part[static_cast<std::size_t>(count)];
      return fail(ErrorKind::kUnsupported, "KVM_SET_MSRS: KVM refuses MSR {:#x} = {:#x}",
                  refused.index, refused.data);
    }
    entries = entries.subspan(part.size());
  }
  return {};
}

Result<std::vector<std::byte>> Vcpu::xsave(std::size_t size) const {
  std::vector<std::byte> state(std::max<std::size_t>(size, kXsaveSize));
  if (size > kXsaveSize) {
    MOTE_CHECK(checked_ioctl(fd_.get(), kGetXsave2, "KVM_GET_XSAVE2", state.data()));
  } else {
    MOTE_CHECK(checked_ioctl(fd_.get(), kGetXsave, "KVM_GET_XSAVE", state.data()));
  }
  return state;
}

Result<void> Vcpu::set_xsave(std::span<const std::byte> state) const {
  if (state.size() < kXsaveSize) {
    return fail(ErrorKind::kInvalid, "an XSAVE area has {} bytes, fewer than {}", state.size(),
                kXsaveSize);
  }
  MOTE_CHECK(checked_ioctl(fd_.get(), kSetXsave, "KVM_SET_XSAVE", state.data()));
  return {};
}

Result<std::uint32_t> Vcpu::tsc_khz() const {
  MOTE_TRY(const int khz, MOTE_IOCTL(fd_.get(), KVM_GET_TSC_KHZ, 0));
  return static_cast<std::uint32_t>(khz);
}

Result<void> Vcpu::set_tsc_khz(std::uint32_t khz) const {
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_SET_TSC_KHZ, khz));
  return {};
}

Result<std::uint64_t> Vcpu::tsc_offset() const {
  std::uint64_t offset = 0;
  const kvm_device_attr attribute = tsc_offset_attribute(offset);
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_GET_DEVICE_ATTR, &attribute));
  return offset;
}

Result<void> Vcpu::set_tsc_offset(std::uint64_t offset) const {
  const kvm_device_attr attribute = tsc_offset_attribute(offset);
  MOTE_CHECK(MOTE_IOCTL(fd_.get(), KVM_SET_DEVICE_ATTR, &attribute));
  return {};
}

bool Vcpu::note_pause() const {
  return ::ioctl(fd_.get(), KVM_KVMCLOCK_CTRL, 0) == 0 || errno == EINVAL;
}

}  // namespace mote::kvm
