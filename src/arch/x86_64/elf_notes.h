// The notes of an ELF file, in which a kernel says where its PVH entry is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace mote::arch {

// The PVH entry that the notes in `bytes` (one PT_NOTE segment, aligned to `alignment`: 4 or 8)
// tell by XEN_ELFNOTE_PHYS32_ENTRY; nullopt when none does. Errors: a note that passes the end, an
// entry that is no 32-bit address.
Result<std::optional<std::uint64_t>> find_pvh_entry(std::span<const std::byte> bytes,
                                                    std::uint64_t alignment);

}  // namespace mote::arch
