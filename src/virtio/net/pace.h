// How often a run over a queue shows the driver what is done.
#pragma once

#include <cstdint>

namespace mote::virtio {

// When a run shows the driver what is done, although there is more: so that the driver works on the
// first frames while the next ones are carried. An interrupt is one a run all the same, as drivers
// ask for no second one before they have seen to the first.
class Pace {
 public:
  // Counts a frame of `bytes`; true: it is time.
  bool step(std::uint64_t bytes) {
    bytes_ += bytes;
    if (++frames_ < kFrames && bytes_ < kBytes) return false;
    frames_ = 0;
    bytes_ = 0;
    return true;
  }

 private:
  static constexpr unsigned kFrames = 32;
  static constexpr std::uint64_t kBytes = 64 << 10;
  unsigned frames_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace mote::virtio
