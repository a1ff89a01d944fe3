// ELF kernels: their segments and their two entries.
#pragma once

#include "arch/x86_64/kernel.h"
#include "arch/x86_64/kernel_file.h"

namespace mote::arch {

// Loads a file that begins with the magic of ELF; as load_kernel().
Result<LoadedKernel> load_elf_kernel(const memory::GuestMemory& memory, const KernelFile& file,
                                     BootProtocolChoice choice);

}  // namespace mote::arch
