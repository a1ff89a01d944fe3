// Loading a kernel: ELF vmlinux or bzImage, straight from its file into guest memory, with every
// number of the file checked before use.
#pragma once

#include <asm/bootparam.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::arch {

// How a guest is entered.
enum class BootProtocol : std::uint8_t {
  kPvh,      // 32-bit protected mode, paging off, EBX = start info (Xen's PVH ABI)
  kLinux64,  // long mode, RSI = zero page (Linux, Documentation/arch/x86/boot.rst)
};

// Which of them the user wants. kAuto: PVH where an ELF kernel has a PVH entry, else the 64-bit
// one; a bzImage has the latter only.
enum class BootProtocolChoice : std::uint8_t { kAuto, kPvh, kLinux64 };

// "auto", "pvh" or "linux64"; an error lists them.
Result<BootProtocolChoice> parse_boot_protocol(std::string_view name);

struct LoadedKernel {
  BootProtocol protocol = BootProtocol::kPvh;
  std::uint64_t entry = 0;              // guest-physical
  std::vector<memory::Range> ranges{};  // taken by the kernel, as it unpacks itself too
  // Of a bzImage: its own setup header, for the zero page.
  std::optional<setup_header> header{};
};

// Loads the kernel of `fd`, a regular file or memfd of any file offset, into `memory`, which must
// be fresh (all zero): what a segment takes beyond its file bytes is not written. Errors say what
// of the file is wrong; they do not name the file.
Result<LoadedKernel> load_kernel(const memory::GuestMemory& memory, int fd,
                                 BootProtocolChoice choice);

}  // namespace mote::arch
