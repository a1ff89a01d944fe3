// IrqLine is the interrupt of a plain chip: an edge on a GSI of the in-kernel controllers.
#pragma once

#include <cstdint>

#include "bus/interrupt.h"
#include "kvm/kvm.h"

namespace mote::machine {

class IrqLine final : public bus::Interrupt {
 public:
  // `vm` outlives the line.
  IrqLine(const kvm::Vm& vm, std::uint32_t gsi) : vm_(vm), gsi_(gsi) {}
  void trigger() override { vm_.pulse_irq(gsi_); }

 private:
  const kvm::Vm& vm_;
  std::uint32_t gsi_;
};

}  // namespace mote::machine
