// What KVM keeps for a VM beside its vCPUs: interrupt controllers, interval timer, clock.
#pragma once

#include <linux/kvm.h>

#include <array>
#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>

#include "arch/x86_64/kvm_describe.h"
#include "base/result.h"
#include "kvm/kvm.h"

namespace mote::arch {

struct VmState {
  std::array<kvm_irqchip, 3> irqchips{};  // PIC, second PIC, IOAPIC
  std::optional<kvm_pit_state2> pit;      // once the guest has used it
  kvm_clock_data clock{};
};
BOOST_DESCRIBE_STRUCT(VmState, (), (irqchips, pit, clock))
constexpr std::uint16_t state_version(const VmState*) { return 2; }  // 1: always with a PIT

// Takes the state of a VM whose vCPUs are parked.
Result<VmState> save_vm(const kvm::Vm& vm);

// Sets it on a VM that has its irqchip and all its vCPUs, none of which has run, and no PIT, which
// it gets where the state has one. The guest's clock goes on from where it stopped, or from where
// it would be had it not stopped.
enum class ClockStart { kWhereItStopped, kNow };
Result<void> restore_vm(const kvm::Vm& vm, const VmState& state,
                        ClockStart clock = ClockStart::kWhereItStopped);

}  // namespace mote::arch
