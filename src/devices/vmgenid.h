// VmGenId is Microsoft's Virtual Machine Generation ID: 16 random bytes in guest memory, and a
// notification, by which a guest learns that it has been copied and must not trust its random
// state. ACPI tells the guest where.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <cstdint>

#include "base/result.h"
#include "bus/interrupt.h"
#include "memory/guest_memory.h"

namespace mote::devices {

struct VmGenIdState {
  std::uint64_t address = 0;             // guest-physical
  std::array<std::uint8_t, 16> value{};  // as it lies in memory
};
BOOST_DESCRIBE_STRUCT(VmGenIdState, (), (address, value))

class VmGenId {
 public:
  // Writes a fresh identifier to `address` (a multiple of 8). `memory` and `interrupt` outlive it.
  static Result<VmGenId> create(const memory::GuestMemory& memory, std::uint64_t address,
                                bus::Interrupt& interrupt);
  // Goes on with the saved identifier, which is in the guest's memory already. After a restore that
  // made a copy, regenerate() follows.
  static Result<VmGenId> restore(const VmGenIdState& state, const memory::GuestMemory& memory,
                                 bus::Interrupt& interrupt);
  const VmGenIdState& save() const { return state_; }

  // Writes a new identifier and tells the guest. On the machine thread.
  Result<void> regenerate();

  std::uint64_t address() const { return state_.address; }

 private:
  VmGenId(const memory::GuestMemory& memory, bus::Interrupt& interrupt, VmGenIdState state)
      : memory_(&memory), interrupt_(&interrupt), state_(state) {}
  Result<void> write_fresh();

  const memory::GuestMemory* memory_;
  bus::Interrupt* interrupt_;
  VmGenIdState state_;
};

}  // namespace mote::devices
