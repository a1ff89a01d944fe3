// IntervalTimer stands where the PIT (an 8254) and the speaker's port are until the guest uses one
// of them. KVM then makes its own timer, and what the guest does with it from then on never comes
// here: whether a VM has a PIT, KVM knows. A Linux that is told the rate of its TSC needs none, and
// KVM's is a tenth of what a VM costs to make, and a kernel thread that no cgroup of ours holds.
#pragma once

#include <mutex>

#include "bus/bus.h"
#include "devices/end.h"
#include "kvm/kvm.h"

namespace mote::machine {

class IntervalTimer final : public bus::BusDevice {
 public:
  // `vm` outlives the timer. `end` is told where KVM cannot make one.
  IntervalTimer(const kvm::Vm& vm, devices::EndSink end) : vm_(vm), end_(std::move(end)) {}

  // On `ports`, from the first of which offsets count.
  Result<void> put_on(bus::Bus& ports);

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

 private:
  Result<kvm_pit_state2> made() const;
  Result<void> made_and_written(std::uint64_t port, std::uint8_t value) const;
  void fail_with(const Error& error) const;

  const kvm::Vm& vm_;
  const devices::EndSink end_;
  std::mutex mutex_;  // two vCPUs may come at once
};

}  // namespace mote::machine
