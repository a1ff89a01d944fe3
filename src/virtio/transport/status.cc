#include "virtio/transport/status.h"

#include <linux/virtio_config.h>

namespace mote::virtio {
namespace {

constexpr std::uint8_t kAcknowledge = VIRTIO_CONFIG_S_ACKNOWLEDGE;
constexpr std::uint8_t kDriver = VIRTIO_CONFIG_S_DRIVER;
constexpr std::uint8_t kFeaturesOk = VIRTIO_CONFIG_S_FEATURES_OK;
constexpr std::uint8_t kDriverOk = VIRTIO_CONFIG_S_DRIVER_OK;
constexpr std::uint8_t kNeedsReset = VIRTIO_CONFIG_S_NEEDS_RESET;
constexpr std::uint8_t kFailed = VIRTIO_CONFIG_S_FAILED;

constexpr std::uint8_t kLadder[] = {0, kAcknowledge, kAcknowledge | kDriver,
                                    kAcknowledge | kDriver | kFeaturesOk,
                                    kAcknowledge | kDriver | kFeaturesOk | kDriverOk};

}  // namespace

StatusStep status_step(std::uint8_t current, std::uint32_t value) {
  if (value == 0) return StatusStep::kReset;
  if (value > UINT8_MAX) return StatusStep::kRefused;
  const auto wanted = static_cast<std::uint8_t>(value | (current & kNeedsReset));
  if ((current & ~wanted) != 0) return StatusStep::kRefused;
  const std::uint8_t added = wanted & ~current;
  if (added == 0) return StatusStep::kNone;
  if ((current & kFailed) != 0) return StatusStep::kRefused;
  if (added == kFailed) return StatusStep::kSet;
  switch (current & ~kNeedsReset) {
    case kLadder[0]:
      return added == kAcknowledge || added == (kAcknowledge | kDriver) ? StatusStep::kSet
                                                                        : StatusStep::kRefused;
    case kLadder[1]:
      return added == kDriver ? StatusStep::kSet : StatusStep::kRefused;
    case kLadder[2]:
      return added == kFeaturesOk ? StatusStep::kFeatures : StatusStep::kRefused;
    case kLadder[3]:
      return added == kDriverOk ? StatusStep::kStart : StatusStep::kRefused;
    default:
      return StatusStep::kRefused;
  }
}

bool status_is_reachable(std::uint8_t value) {
  const std::uint8_t steps = value & ~(kFailed | kNeedsReset);
  for (const std::uint8_t rung : kLadder) {
    // The device asks for a reset only of a driver that has started it.
    if (steps == rung) return (value & kNeedsReset) == 0 || (steps & kDriverOk) != 0;
  }
  return false;
}

}  // namespace mote::virtio
