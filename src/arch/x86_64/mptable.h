// The MP table (Intel MultiProcessor Specification 1.4), for kernels without ACPI: processors,
// I/O APIC and interrupt lines.
#pragma once

#include "arch/x86_64/bytes.h"
#include "base/result.h"

namespace mote::arch {

// The floating pointer and the table behind it, as they lie at guest address `address` (a multiple
// of 16). At most 1 KiB for up to 32 processors, whose APIC ids are 0, 1, ...; an error for more.
Result<Bytes> make_mp_table(std::uint64_t address, unsigned cpus);

}  // namespace mote::arch
