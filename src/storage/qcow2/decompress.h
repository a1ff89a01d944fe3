// Decompresses one cluster of an image.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "storage/qcow2/header.h"

namespace mote::storage::qcow2 {

// Fills `into` from `from`, a deflate stream without header or one zstd frame; what follows in
// `from` is not looked at. Error (kIo): `from` is damaged, or makes fewer bytes.
Result<void> decompress(Compression method, std::span<const std::byte> from,
                        std::span<std::byte> into);

}  // namespace mote::storage::qcow2
