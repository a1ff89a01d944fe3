// The clock that limits and paces are reckoned by.
#pragma once

#include <chrono>
#include <cstdint>

namespace mote {

// Nanoseconds of CLOCK_MONOTONIC: since some moment, and never back.
inline std::uint64_t monotonic_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

}  // namespace mote
