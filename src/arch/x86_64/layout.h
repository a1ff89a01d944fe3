// Where things lie in the guest-physical address space of an x86-64 microVM, and which interrupt
// lines (GSIs) exist. Where a guest can see it, this is Firecracker's layout:
//
//   0x0000_0500            GDT                      (64-bit entry only)
//   0x0000_6000            PVH start info           (PVH entry only)
//   0x0000_7000            zero page                (64-bit entry only)
//   0x0000_9000            page tables              (64-bit entry only)
//   0x0002_0000            kernel command line
//   0x0009_fc00            EBDA: MP table
//   0x000e_0000            ACPI: RSDP, VMGenID, tables; VMClock in the last page
//   0x0010_0000            RAM for the kernel, the initrd at its top
//   0xc000_0000 (3 GiB)    32-bit MMIO: boot timer, virtio-mmio; IOAPIC, LAPIC
//   0x1_0000_0000 (4 GiB)  RAM
//   0x40_0000_0000         64-bit MMIO, 256 GiB up to 512 GiB
//   0x80_0000_0000         RAM
#pragma once

#include <cstdint>

namespace mote::arch::layout {

inline constexpr std::uint64_t kMiB = 1ULL << 20;
inline constexpr std::uint64_t kGiB = 1ULL << 30;

// Below 1 MiB.
inline constexpr std::uint64_t kGdt = 0x500;
inline constexpr std::uint64_t kStartInfo = 0x6000;
inline constexpr std::uint64_t kZeroPage = 0x7000;
inline constexpr std::uint64_t kBootStackTop = 0x8ff0;
inline constexpr std::uint64_t kPml4 = 0x9000;
inline constexpr std::uint64_t kPdpt = 0xa000;
inline constexpr std::uint64_t kPageDirectory = 0xb000;  // one page for each GiB mapped, at most:
inline constexpr unsigned kMaxPageDirectories = 4;
inline constexpr std::uint64_t kCmdline = 0x20000;
inline constexpr std::uint64_t kCmdlineMaxSize = 2048;  // with the NUL at its end
inline constexpr std::uint64_t kEbda = 0x9fc00;         // where the BIOS' low memory ends
inline constexpr std::uint64_t kMpTable = kEbda;
inline constexpr std::uint64_t kMpTableMaxSize = 1024;  // what a kernel searches of the EBDA
inline constexpr std::uint64_t kRsdp = 0xe0000;         // start of what a kernel searches for it
inline constexpr std::uint64_t kVmGenId = 0xe0040;      // 16 bytes, beside the tables: no page more
inline constexpr std::uint64_t kVmGenIdSize = 16;
inline constexpr std::uint64_t kAcpiTables = 0xe0050;
inline constexpr std::uint64_t kAcpiTablesEnd = 0xff000;
inline constexpr std::uint64_t kVmClock =
    0xff000;  // a page that is nothing else's: programs map it
inline constexpr std::uint64_t kVmClockSize = 0x1000;
inline constexpr std::uint64_t kAcpiEnd = 0x100000;
inline constexpr std::uint64_t kHighMemory = 0x100000;  // where a kernel may be loaded

// RAM and its gaps.
inline constexpr std::uint64_t kMmio32Start = 3 * kGiB;
inline constexpr std::uint64_t kMmio32End = 4 * kGiB;
inline constexpr std::uint64_t kMmio64Start = 256 * kGiB;
inline constexpr std::uint64_t kMmio64End = 512 * kGiB;

// In the 32-bit gap. The boot timer has the first page whether it is asked for or not.
inline constexpr std::uint64_t kBootTimer = kMmio32Start;
inline constexpr std::uint64_t kVirtioMmio = kMmio32Start + 0x1000;
inline constexpr std::uint64_t kVirtioMmioSize = 0x1000;
inline constexpr std::uint64_t kIoApic = 0xfec00000;
inline constexpr std::uint64_t kLocalApic = 0xfee00000;
// IA32_APIC_BASE of the boot processor: enabled, and the one that it is.
inline constexpr std::uint64_t kBootApicBase = kLocalApic | 1 << 11 | 1 << 8;
// Three pages for KVM_SET_TSS_ADDR; the page before them for KVM_SET_IDENTITY_MAP_ADDR.
inline constexpr std::uint64_t kKvmTss = 0xfffbd000;
inline constexpr std::uint64_t kKvmIdentityMap = kKvmTss - 0x1000;

// I/O ports that the ACPI tables tell of.
inline constexpr std::uint16_t kSleepControlPort = 0x600;
inline constexpr std::uint16_t kSleepStatusPort = 0x601;
inline constexpr std::uint16_t kCom1Port = 0x3f8;
inline constexpr std::uint16_t kCom2Port = 0x2f8;

// What a guest writes to kSleepControlPort to enter S5: SLP_TYP (bits 2 to 4) as \_S5 says, and
// SLP_EN (bit 5). ACPI 6.5, section 4.8.3.7.
inline constexpr std::uint8_t kSleepTypeS5 = 5;
inline constexpr std::uint8_t kSleepControlS5 = (kSleepTypeS5 << 2) | (1 << 5);

// GSIs: those of the ISA chips, one for each virtio device, those of the generation counters.
inline constexpr std::uint32_t kKeyboardGsi = 1;
inline constexpr std::uint32_t kCom2Gsi = 3;
inline constexpr std::uint32_t kCom1Gsi = 4;
inline constexpr std::uint32_t kFirstDeviceGsi = 5;
inline constexpr std::uint32_t kLastDeviceGsi = 21;
inline constexpr std::uint32_t kVmClockGsi = 22;
inline constexpr std::uint32_t kVmGenIdGsi = 23;  // the IOAPIC's last pin
inline constexpr std::uint32_t kIoApicPins = 24;

inline constexpr unsigned kMaxCpus = 32;

// The first address of virtio-mmio window `index`.
constexpr std::uint64_t virtio_mmio_window(unsigned index) {
  return kVirtioMmio + index * kVirtioMmioSize;
}

}  // namespace mote::arch::layout
