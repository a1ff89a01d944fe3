// The DSDT's content: the machine's devices, told in AML.
#pragma once

#include "arch/x86_64/bytes.h"
#include "arch/x86_64/devices.h"

namespace mote::arch::acpi {

// virtio-mmio windows (LNRO0005), serial ports, keyboard controller, clock, VMGenID and VMClock
// with the event device that tells of their changes, and \_S5, by which a guest turns the machine
// off. The values of `devices` must have been checked (see make_acpi_tables()).
Bytes make_dsdt(const PlatformDevices& devices);

}  // namespace mote::arch::acpi
