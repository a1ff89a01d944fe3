// How much RAM lies where: from the size of the guest's memory to its ranges, and to the map that
// both boot protocols hand to the kernel.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::arch {

// The ranges of RAM for `size` bytes of guest memory: below the 32-bit gap, then above 4 GiB, then
// above 512 GiB. Errors: a size of less than 1 MiB or not of whole pages; RAM beyond what
// `physical_bits` address bits (of the host's processor, 32 to 52) reach.
Result<std::vector<memory::Range>> memory_ranges(std::uint64_t size, unsigned physical_bits);

// Where devices may have memory of their own beside RAM in `ranges` (as of memory_ranges()): above
// 512 GiB and all RAM, as in Firecracker; then, where the processor's addresses end before or more
// is needed, between RAM and the 64-bit MMIO window. Each starts at a multiple of 2 GiB, the
// largest block that Linux adds memory in.
std::vector<memory::Range> device_memory_windows(std::span<const memory::Range> ranges,
                                                 unsigned physical_bits);

// Types of the memory map, as in E820 and in PVH's start info (ACPI 6.5, section 15).
enum class MemoryType : std::uint32_t { kRam = 1, kReserved = 2 };

struct MemoryMapEntry {
  memory::Range range;
  MemoryType type = MemoryType::kRam;
};

// The map that the guest is told: `ranges` (as of memory_ranges()), less what holds firmware tables
// below 1 MiB, which is reserved. Ascending, without overlap.
std::vector<MemoryMapEntry> memory_map(std::span<const memory::Range> ranges);

// A range below 1 MiB that mote fills before the guest starts, with its name for messages.
struct BootStructure {
  memory::Range range;
  const char* name;
};
std::span<const BootStructure> boot_structures();

}  // namespace mote::arch
