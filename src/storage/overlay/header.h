// The header of a layer as its page has it.
#pragma once

#include "base/result.h"
#include "storage/overlay/format.h"

namespace mote::storage::overlay {

// Whether a layer can be of this shape: the error (kInvalid) says what is wrong.
Result<void> check_shape(std::uint64_t size, unsigned cluster_bits);

Payload to_payload(const Header& header);
// Errors: what no layer says (kInvalid); a version that is not built (kUnsupported).
Result<Header> from_payload(const Payload& payload);

}  // namespace mote::storage::overlay
