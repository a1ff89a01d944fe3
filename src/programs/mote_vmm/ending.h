// What is said of a VM's end, and what the process ends with.
#pragma once

#include <string>

#include "devices/end.h"
#include "machine/machine.h"
#include "programs/mote_vmm/exit_status.h"

namespace mote::vmm {

// What is left of a VM then (its memory, KVM's part of it) the kernel takes down as one, in less
// time than piece by piece. Not where leaks are looked for at the end of main().
#if __has_feature(address_sanitizer)
inline constexpr bool kKernelTakesDown = false;
#else
inline constexpr bool kKernelTakesDown = true;
#endif

// Ends the machine's devices. The vsock's socket stays where Firecracker's clients are expected:
// they remove it themselves, and some miss it otherwise.
void close_devices(machine::Machine& machine) REQUIRES(machine::kMachineThread);

// Logs the end, and writes it as a line of JSON to `end_fd`, unless that is -1.
void tell(const devices::End& end, int end_fd);

// The end as JSON: {"reason":"reset","status":0,"message":"..."}.
std::string end_report(const devices::End& end);

// The end that a signal is.
devices::End end_by_signal(int signal);

// What the process exits with. Does not return when `end` is a signal that the process ends by
// itself.
int exit_status(const devices::End& end);

}  // namespace mote::vmm
