#include "machine/interval_timer.h"

#include <algorithm>
#include <utility>

#include "arch/x86_64/pit.h"
#include "base/clock.h"

namespace mote::machine {

Result<void> IntervalTimer::put_on(bus::Bus& ports) {
  MOTE_CHECK(ports.insert(arch::kPitPort, arch::kPitPorts, *this));
  return ports.insert(arch::kSpeakerPort, 1, *this, arch::kSpeakerPort - arch::kPitPort);
}

Result<kvm_pit_state2> IntervalTimer::made() const {
  MOTE_CHECK(vm_.create_pit());
  MOTE_TRY(const std::optional<kvm_pit_state2> state, vm_.pit());
  if (!state) return fail(ErrorKind::kInternal, "KVM knows nothing of the PIT that it made");
  return *state;
}

// What another vCPU writes at this very moment may be lost; a guest whose processors share the
// timer has a lock for it.
Result<void> IntervalTimer::made_and_written(std::uint64_t port, std::uint8_t value) const {
  MOTE_TRY(kvm_pit_state2 state, made());
  arch::write_pit(state, port, value, monotonic_ns());
  return vm_.set_pit(state);
}

// An access of any width is one of the byte at its port, as with KVM's.
void IntervalTimer::read(std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
  const std::lock_guard lock(mutex_);
  const auto state = made();
  if (!state) return fail_with(state.error());
  data[0] = std::byte{arch::read_pit(*state, arch::kPitPort + offset, monotonic_ns())};
}

void IntervalTimer::write(std::uint64_t offset, std::span<const std::byte> data) {
  const std::lock_guard lock(mutex_);
  const auto done =
      made_and_written(arch::kPitPort + offset, std::to_integer<std::uint8_t>(data[0]));
  if (!done) fail_with(done.error());
}

void IntervalTimer::fail_with(const Error& error) const {
  end_({.reason = devices::EndReason::kError,
        .status = 1,
        .message = fmt::format("the guest's PIT: {}", error.text())});
}

}  // namespace mote::machine
