// VmClock is the page by which a guest's programs learn, without an exit or a system call, that the
// machine's time was disrupted: it was restored, so that clocks have jumped and what was to be
// unique has a copy. The page has the layout of Linux's ptp_vmclock (vmclock-abi.h, version 1); as
// Firecracker's it tells of disruptions and generations, and of no time: the guest's clocks are
// kvmclock and the TSC. ACPI tells the guest where.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

#include "base/result.h"
#include "bus/interrupt.h"
#include "memory/guest_memory.h"

namespace mote::devices {

inline constexpr std::uint64_t kVmClockSize = 4096;  // a page, that a guest's programs may map

struct VmClockState {
  std::uint64_t address = 0;            // guest-physical
  std::uint32_t sequence = 0;           // even: the page is not being changed
  std::uint64_t disruption_marker = 0;  // another whenever time was disrupted
  std::uint64_t generation = 0;         // another whenever the machine is a copy
};
BOOST_DESCRIBE_STRUCT(VmClockState, (), (address, sequence, disruption_marker, generation))

class VmClock {
 public:
  // Writes the page at `address` (a multiple of 4096), which must be fresh. `memory` and
  // `interrupt` outlive it.
  static Result<VmClock> create(const memory::GuestMemory& memory, std::uint64_t address,
                                bus::Interrupt& interrupt);
  // Goes on with the saved page, which is in the guest's memory already; disrupt() follows.
  static Result<VmClock> restore(const VmClockState& state, const memory::GuestMemory& memory,
                                 bus::Interrupt& interrupt);
  const VmClockState& save() const { return state_; }

  // The machine is another from here on: counts the disruption and the generation up, as a writer
  // of the page does it, and tells the guest. On the machine thread.
  void disrupt();

 private:
  VmClock(const memory::GuestSlice& page, bus::Interrupt& interrupt, const VmClockState& state)
      : page_(page), interrupt_(&interrupt), state_(state) {}

  memory::GuestSlice page_;
  bus::Interrupt* interrupt_;
  VmClockState state_;
};

}  // namespace mote::devices
