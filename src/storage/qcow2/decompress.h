// Decompresses one cluster of an image.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace mote::storage::qcow2 {

// Fills `into` from `from`: a frame of zstd, or a deflate stream without a header. What follows it
// in `from` is not looked at. Error (kIo): `from` is damaged, or makes fewer bytes.
Result<void> decompress(bool zstd, std::span<const std::byte> from, std::span<std::byte> into);

}  // namespace mote::storage::qcow2
