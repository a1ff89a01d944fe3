// bzImage: a kernel packed behind its own stub, which is entered in 64-bit mode and unpacks it
// (Linux, Documentation/arch/x86/boot.rst).
#pragma once

#include <asm/bootparam.h>

#include <cstddef>
#include <optional>
#include <span>

#include "arch/x86_64/kernel.h"
#include "arch/x86_64/kernel_file.h"

namespace mote::arch {

// Where the setup header lies in the file, and how much of the file's start holds it.
inline constexpr std::size_t kSetupHeaderOffset = 0x1f1;
inline constexpr std::size_t kBzImageHeadSize = kSetupHeaderOffset + sizeof(setup_header);

// The setup header in the first bytes of a file; nullopt when they are not a bzImage's. What the
// file's version of the protocol does not have is 0.
std::optional<setup_header> find_bzimage_header(std::span<const std::byte> head);

// Loads a bzImage at the address that it prefers; as load_kernel().
Result<LoadedKernel> load_bzimage(const memory::GuestMemory& memory, const KernelFile& file,
                                  const setup_header& header, BootProtocolChoice choice);

}  // namespace mote::arch
