// The device status register as a state machine (VIRTIO 1.2, 2.1 and 3.1.1): what a driver's write
// asks for, apart from doing it.
#pragma once

#include <cstdint>

namespace mote::virtio {

enum class StatusStep {
  kReset,     // back to the beginning
  kNone,      // says what is so already
  kSet,       // bits without a consequence: ACKNOWLEDGE, DRIVER, FAILED
  kFeatures,  // FEATURES_OK: the driver has chosen its features
  kStart,     // DRIVER_OK: the driver is ready
  kRefused,   // out of order, bits taken back, or no such bits: the register stays as it is
};

// What writing `value` asks for when the register holds `current`. ACKNOWLEDGE and DRIVER may come
// in one write; FEATURES_OK and DRIVER_OK each need a write of their own, as the driver has to look
// at the outcome in between. DEVICE_NEEDS_RESET is the device's: the driver may write it back or
// leave it out. After FAILED only a reset is heard.
StatusStep status_step(std::uint8_t current, std::uint32_t value);

// Whether the register can hold `value` at all.
bool status_is_reachable(std::uint8_t value);

}  // namespace mote::virtio
