// The start info by which a PVH guest learns of its memory, command line, initrd and ACPI tables
// (Xen's public/arch-x86/hvm/start_info.h, version 1).
#pragma once

#include <cstdint>
#include <span>

#include "arch/x86_64/memory_map.h"
#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::arch {

// What both protocols tell a kernel.
struct BootFacts {
  std::span<const MemoryMapEntry> map;
  std::uint64_t cmdline_size = 0;  // at layout::kCmdline, without the NUL
  memory::Range initrd;            // empty: none
  std::uint64_t rsdp = 0;
};

// Writes it to layout::kStartInfo with its list of modules and its memory map behind it, in one
// page. An error when the map has more entries than that holds.
Result<void> write_start_info(const memory::GuestMemory& memory, const BootFacts& facts);

}  // namespace mote::arch
