// How often a run over a queue shows the driver what is done.
#pragma once

#include <algorithm>
#include <cstdint>

#include "virtio/queue/queue.h"

namespace mote::virtio {

// When a run shows the driver what is done, although there is more: so that the driver works on the
// first frames while the next ones are carried. It finds them by itself while it is at work.
//
// One that is not, as it was through with what it had been shown, is interrupted; but the more
// often that was so, the more it is shown before. A driver that is always through is faster than
// this side, or shares a processor with it, and would be woken, and put to sleep again, for a frame
// or two each time. One that is found at work is interrupted sooner the next time.
class Pace {
 public:
  // A run begins.
  void begin() { frames_ = bytes_ = shown_ = 0; }
  // `queue` has a frame of `bytes` more; true: the driver was interrupted.
  bool step(Queue& queue, std::uint64_t bytes) {
    bytes_ += bytes;
    if (++frames_ < kFrames && bytes_ < kBytes) return false;
    frames_ = bytes_ = 0;
    queue.publish();
    if (++shown_ < patience_) return false;
    shown_ = 0;
    const bool told = queue.tell();
    patience_ = told ? std::min(2 * patience_, kMostPatience) : std::max(patience_ / 2, 1U);
    return told;
  }

 private:
  static constexpr std::uint64_t kFrames = 32;
  static constexpr std::uint64_t kBytes = 64 << 10;
  // Half of 256 frames, or of long ones some two thirds of what 256 buffers of 1.5 KiB hold, as
  // Linux gives them: the driver works on those and gives new buffers while the rest is filled. A
  // driver that hears only when its buffers are out works in turns with this side.
  static constexpr unsigned kMostPatience = 4;

  std::uint64_t frames_ = 0;
  std::uint64_t bytes_ = 0;
  unsigned shown_ = 0;     // times since the driver was interrupted, or could have been
  unsigned patience_ = 1;  // ... before it is
};

}  // namespace mote::virtio
