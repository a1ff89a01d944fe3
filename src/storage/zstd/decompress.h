// A decompressor for zstd (RFC 8878), for data of which the size is known. Debian's library is
// twenty times as large as this: it has what is older than the format, and every encoder's tricks.
#pragma once

#include <cstddef>
#include <span>

namespace mote::storage::zstd {

// Fills `into` from the frame at the start of `from`; what follows it there is not looked at, nor
// is a checksum at its end. False: it is none, is damaged, makes fewer or more bytes, needs a
// dictionary, or has more than 4096 blocks (an encoder makes them of 128 KiB). Nothing is read or
// written elsewhere, whatever `from` holds; it takes some 300 KiB of memory meanwhile.
bool decompress(std::span<const std::byte> from, std::span<std::byte> into);

}  // namespace mote::storage::zstd
