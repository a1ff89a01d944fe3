// The control messages that a console owes its driver of a port: bits of PortState::due.
#pragma once

#include <cstdint>

namespace mote::virtio {

// In the order in which a driver is told.
inline constexpr std::uint8_t kDueAdd = 1 << 0;
inline constexpr std::uint8_t kDueConsolePort = 1 << 1;
inline constexpr std::uint8_t kDueName = 1 << 2;
inline constexpr std::uint8_t kDueResize = 1 << 3;
inline constexpr std::uint8_t kDueOpen = 1 << 4;
inline constexpr std::uint8_t kDueAll =
    kDueAdd | kDueConsolePort | kDueName | kDueResize | kDueOpen;

}  // namespace mote::virtio
