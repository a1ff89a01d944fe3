// The ACPI tables of a machine with reduced hardware (ACPI 6.5): RSDP, XSDT, FADT, MADT and DSDT,
// laid out for the few pages where a kernel looks for them.
#pragma once

#include <cstdint>

#include "arch/x86_64/bytes.h"
#include "arch/x86_64/devices.h"
#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::arch::acpi {

struct AcpiTables {
  Bytes rsdp;    // for layout::kRsdp
  Bytes tables;  // for layout::kAcpiTables
};

// Tables for `cpus` processors with APIC ids 0, 1, ... and for `devices`. Errors: no processor; a
// window that is empty or passes 4 GiB; an interrupt that the I/O APIC does not have; a VMGenID
// that is not aligned to 8; more than fits below 1 MiB.
Result<AcpiTables> make_acpi_tables(unsigned cpus, const PlatformDevices& devices);

// Makes them and writes them to guest memory.
Result<void> write_acpi_tables(const memory::GuestMemory& memory, unsigned cpus,
                               const PlatformDevices& devices);

}  // namespace mote::arch::acpi
