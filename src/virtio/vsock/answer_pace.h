// AnswerPace decides how long a device looks for the answer of a host program that has just been
// given data. A program that answers at once has done so before this thread would be asleep and
// awake again, and then one wake and half of the system calls are spared; one that answers later,
// or not, is not looked for. It only counts and says how long; the device has the clock, and looks
// meanwhile.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mote::virtio::vsock {

class AnswerPace {
 public:
  // In nanoseconds: the longest look, as long as KVM itself looks for what ends a guest's rest.
  static constexpr std::uint64_t kMostWindow = 200'000;
  // Questions that go without a look after many looks in vain.
  static constexpr std::uint32_t kMostSkipped = 1023;

  // `most`: as kMostWindow, or less; 0: never.
  explicit AnswerPace(std::uint64_t most) : most_(most), mean_(4 * most) {}

  // A program has been given data, at `now` of some clock.
  void asked(std::uint64_t now) { asked_ = now; }
  // It has answered.
  void answered(std::uint64_t now) {
    mean_ = mean_ - mean_ / 4 + std::min(now - asked_, 4 * most_) / 4;
  }

  // Until when to look for the answer, by the clock of asked(); 0: not at all.
  std::uint64_t look_until() {
    if (mean_ >= most_) return 0;
    if (skip_ > 0) {
      --skip_;
      return 0;
    }
    return asked_ + std::min(2 * mean_, most_);
  }
  // It came in that time. One such answer is not enough: where others have the processors, every
  // second look may be in vain, and keeps the program from what it would need to answer.
  void came() { skipped_ /= 2; }
  // It did not.
  void dry() { skip_ = skipped_ = std::min(2 * skipped_ + 1, kMostSkipped); }

 private:
  std::uint64_t most_;
  std::uint64_t mean_;  // of the answers, follows a quarter at a time
  std::uint64_t asked_ = 0;
  std::uint32_t skipped_ = 0;  // after the last look in vain
  std::uint32_t skip_ = 0;     // of these, still
};

}  // namespace mote::virtio::vsock
