#include "arch/x86_64/tsc.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mote::arch {
namespace {

// What a TSC of `khz` counts meanwhile. A clock that went back has stood still.
std::uint64_t ticks_between(std::uint64_t from_ns, std::uint64_t to_ns, std::uint32_t khz) {
  constexpr unsigned kNanosecondsPerMillisecond = 1'000'000;
  if (to_ns <= from_ns) return 0;
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(Wide{to_ns - from_ns} * khz / kNanosecondsPerMillisecond);
}

}  // namespace

Result<std::uint32_t> host_tsc_khz(const kvm::Vcpu& vcpu, const kvm::Vm& vm) {
  Result<std::uint32_t> of_vm = vm.tsc_khz();
  return of_vm ? std::move(of_vm) : vcpu.tsc_khz();
}

Result<void> settle_tsc(const kvm::Vcpu& vcpu, const kvm_clock_data& clock, std::uint32_t host_khz,
                        std::vector<kvm_msr_entry>& msrs) {
  const auto tsc = std::ranges::find(msrs, kMsrTsc, &kvm_msr_entry::index);
  if (tsc == msrs.end() || (clock.flags & KVM_CLOCK_HOST_TSC) == 0) return {};
  MOTE_TRY(const std::uint32_t guest_khz, vcpu.tsc_khz());
  // What is scaled is known to a thousandth of a percent only, of all the time that the host is up.
  if (guest_khz != host_khz) return {};
  if (const auto offset = vcpu.tsc_offset()) tsc->data = clock.host_tsc + *offset;
  return {};
}

Result<void> start_tsc(const kvm::Vcpu& vcpu, const kvm::Vm& vm, const ClockMoments& moments,
                       std::uint64_t tsc, std::uint32_t guest_khz, std::uint32_t host_khz) {
  const auto at = [&](const kvm_clock_data& now) {
    return tsc + ticks_between(moments.saved.clock, now.clock, guest_khz);
  };
  // By its offset to the host's, the same for each vCPU: what is written as an MSR is of the moment
  // of writing, and KVM takes a small value for an attempt to set it to what it is.
  if (guest_khz == host_khz && (moments.now.flags & KVM_CLOCK_HOST_TSC) != 0 &&
      vcpu.set_tsc_offset(at(moments.now) - moments.now.host_tsc)) {
    return {};
  }
  MOTE_TRY(const kvm_clock_data now, vm.clock());
  return vcpu.set_msrs(std::array{kvm_msr_entry{.index = kMsrTsc, .reserved = 0, .data = at(now)}});
}

}  // namespace mote::arch
