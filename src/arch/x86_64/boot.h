// From files to a guest that can be entered: prepare_boot() loads kernel and initrd, and writes
// command line, memory map, ACPI and MP tables to guest memory; set_boot_registers() enters the
// guest there.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arch/x86_64/cmdline.h"
#include "arch/x86_64/devices.h"
#include "arch/x86_64/kernel.h"
#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::arch {

// An open file with the name by which messages call it. Borrowed, not owned.
struct BootFile {
  int fd = -1;
  std::string name;
};

struct BootInputs {
  BootFile kernel;
  std::optional<BootFile> initrd;
  Cmdline cmdline;
  BootProtocolChoice protocol = BootProtocolChoice::kAuto;
  unsigned cpus = 1;
  PlatformDevices devices;  // those that the firmware tables tell of
};

// How the guest is entered.
struct BootState {
  BootProtocol protocol = BootProtocol::kPvh;
  std::uint64_t entry = 0;      // guest-physical
  std::uint64_t parameter = 0;  // PVH: EBX, the start info. 64-bit: RSI, the zero page
};

// Fills `memory`, which must be fresh, that is all zero: nothing is cleared by hand, so that no
// page is touched that need not be. Its ranges must be those of memory_ranges(). Errors name the
// file and what is wrong with it, or what does not fit where.
Result<BootState> prepare_boot(const memory::GuestMemory& memory, const BootInputs& inputs);

// What the first vCPU starts with, all of it: `regs` and `sregs` come zeroed, but for the APIC's
// base. What is not here is right as KVM resets it: the FPU as after FNINIT, LINT0 of the boot
// processor's local APIC for the PIC's interrupts. The other vCPUs wait for INIT and SIPI and need
// no registers.
void set_boot_registers(const BootState& state, kvm_regs& regs, kvm_sregs& sregs);

}  // namespace mote::arch
