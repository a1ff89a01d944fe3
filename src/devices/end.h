// How a microVM ends: what a chip or a vCPU tells the machine, once, when the guest is through.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace mote::devices {

enum class EndReason : std::uint8_t {
  kReset,        // the guest asked for a reset: keyboard controller, or what KVM reports as one
  kPowerOff,     // the guest entered ACPI S5
  kExitPort,     // the guest wrote a status to the exit port
  kTripleFault,  // a vCPU shut down
  kError,        // KVM or the monitor cannot go on; `message` says why
  kSignal,       // the monitor was told to stop; `status` is the signal's number
};

struct End {
  EndReason reason = EndReason::kReset;
  std::uint8_t status = 0;  // of kExitPort: the guest's byte; of kSignal: the signal
  std::string message;      // for a person; empty when the reason says it all
};

// Takes the end of the VM. From any thread, more than once; the first one counts. Must not wait for
// the thread that calls it.
using EndSink = std::function<void(End)>;

}  // namespace mote::devices
