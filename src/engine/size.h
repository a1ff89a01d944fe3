// Sizes as a person writes them.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace mote::engine {

// The bytes that `text` means: a whole number, and a unit of 1024s: none or B for bytes, K, M, G,
// T, each also as KB, KiB, in any case. Errors: no such number or unit, or more than 64 bits hold.
Result<std::uint64_t> parse_size(std::string_view text);

}  // namespace mote::engine
