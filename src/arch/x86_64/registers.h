// The processor's state at the two entries, as functions on KVM's structures, and the descriptor
// table and page tables that the 64-bit entry needs.
#pragma once

#include <linux/kvm.h>

#include <cstdint>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::arch {

// Registers for the PVH entry: 32-bit protected mode with flat segments and paging off, EBX = the
// start info.
void set_pvh_registers(std::uint64_t entry, std::uint64_t start_info, kvm_regs& regs,
                       kvm_sregs& sregs);
// Registers for the 64-bit entry: long mode over write_boot_tables(), RSI = the zero page.
void set_linux64_registers(std::uint64_t entry, std::uint64_t zero_page, kvm_regs& regs,
                           kvm_sregs& sregs);
// The GDT, and page tables that map [0, mapped_end) one to one in pages of 2 MiB, at least 1 GiB.
// An error when `mapped_end` is beyond 4 GiB.
Result<void> write_boot_tables(const memory::GuestMemory& memory, std::uint64_t mapped_end);

}  // namespace mote::arch
