#include "virtio/balloon/config.h"

#include <limits>

namespace mote::virtio {

Result<void> check(const BalloonConfig& config) {
  // The device counts pages of 4 KiB in 32 bits.
  constexpr std::uint32_t kMostMib = std::numeric_limits<std::uint32_t>::max() / 256;
  if (config.amount_mib <= kMostMib) return {};
  return fail(ErrorKind::kInvalid, "amount_mib is {}; it must be at most {}", config.amount_mib,
              kMostMib);
}

}  // namespace mote::virtio
