// Fills a file with another's content.
#pragma once

#include <cstdint>

#include "base/unique_fd.h"

namespace mote::isolation::jail {

// Has `to`, an empty file, share the blocks of `from`, which takes no time. False: their filesystem
// cannot, or they have two.
bool share_blocks(const UniqueFd& from, const UniqueFd& to);

// Copies the first `size` bytes into `to`, an empty file. Errors: there are fewer; no room; what
// cannot be read or written.
Result<void> copy_file(const UniqueFd& from, const UniqueFd& to, std::uint64_t size);

}  // namespace mote::isolation::jail
