// The zero page (struct boot_params) by which a kernel at its 64-bit entry learns what the
// bootloader knows (Linux, Documentation/arch/x86/zero-page.rst).
#pragma once

#include <asm/bootparam.h>

#include <optional>

#include "arch/x86_64/start_info.h"
#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::arch {

// Writes it to layout::kZeroPage. `header` is a bzImage's own; an ELF kernel has none. Errors: a
// command line longer than the bzImage takes; a map of more than 128 entries.
Result<void> write_zero_page(const memory::GuestMemory& memory, const BootFacts& facts,
                             const std::optional<setup_header>& header);

}  // namespace mote::arch
