// UTF-8, checked.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace mote {

// The length in bytes (1 to 4) of the character that `text` begins with; nullopt when it is empty
// or begins with no well-formed character (Unicode 15, table 3-7: no overlong forms, no surrogates,
// nothing above U+10FFFF).
std::optional<std::size_t> utf8_sequence(std::string_view text);

// The offset of the first byte that belongs to no well-formed character; nullopt when all is well.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

}  // namespace mote
