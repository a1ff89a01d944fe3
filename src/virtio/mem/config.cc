#include "virtio/mem/config.h"

#include <bit>

namespace mote::virtio {

Result<void> check(const MemConfig& config) {
  constexpr std::uint32_t kLeastBlock = 2;
  constexpr std::uint32_t kLeastSlot = 128;
  if (config.block_size_mib < kLeastBlock || !std::has_single_bit(config.block_size_mib)) {
    return fail(ErrorKind::kInvalid, "block_size_mib is {}; it must be a power of two, at least {}",
                config.block_size_mib, kLeastBlock);
  }
  if (config.slot_size_mib < kLeastSlot || config.slot_size_mib % config.block_size_mib != 0) {
    return fail(ErrorKind::kInvalid,
                "slot_size_mib is {}; it must be at least {} and a multiple of the block_size_mib, "
                "{}",
                config.slot_size_mib, kLeastSlot, config.block_size_mib);
  }
  if (config.total_size_mib == 0 || config.total_size_mib % config.slot_size_mib != 0) {
    return fail(ErrorKind::kInvalid,
                "total_size_mib is {}; it must be a multiple of the slot_size_mib, {}, and more "
                "than 0",
                config.total_size_mib, config.slot_size_mib);
  }
  return check_requested(config, config.requested_size_mib);
}

Result<void> check_requested(const MemConfig& config, std::uint32_t requested_size_mib) {
  if (requested_size_mib <= config.total_size_mib &&
      requested_size_mib % config.block_size_mib == 0) {
    return {};
  }
  return fail(ErrorKind::kInvalid,
              "requested_size_mib is {}; it must be a multiple of the block_size_mib, {}, and at "
              "most {}",
              requested_size_mib, config.block_size_mib, config.total_size_mib);
}

}  // namespace mote::virtio
