// BatchPace decides when a device that answers requests at once shows its answers to the driver.
// Shown one by one, each costs the guest an interrupt, which keeps it from making the next request,
// which then costs a kick: several exits a request, however many the driver has to make. So where
// more requests are known to follow at once, answers wait for them, for a moment that is measured;
// a driver that makes one request at a time is not kept waiting. BatchPace only counts and says how
// long; the device has the clock, and looks at its ring meanwhile.
//
// A batch is shown when it is as large as the last ones were, or when nothing came for a while (it
// ran dry). Whether it could be larger is tried now and then, the more seldom the more often in
// vain.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

namespace mote::virtio {

class BatchPace {
 public:
  // All in nanoseconds.
  static constexpr std::uint64_t kLeastWindow = 4'000;
  static constexpr std::uint64_t kMostWindow = 1'000'000;
  // Batches between two tries: odd numbers, so that a driver with an even number of requests is not
  // tried at the last one every time.
  static constexpr std::uint32_t kLeastInterval = 31;
  static constexpr std::uint32_t kMostInterval = 4095;

  // A batch begins, at `now` of some clock.
  void begin(std::uint64_t now) { cycle_ = mean(cycle_, now - std::exchange(began_, now)); }
  // The next batch is tried, however many were not.
  void try_next() { since_try_ = interval_; }
  // How long to look for another request before a batch of `answers` is shown; 0: show it now.
  std::uint64_t window(std::uint32_t answers) {
    if (answers == 0) return 0;
    trying_ = answers >= expected_;
    if (!trying_) return std::clamp(4 * gap_, kLeastWindow, kMostWindow);
    if (++since_try_ < interval_ || cycle_ > kMostWindow) return 0;
    // A driver that has more to ask for does so before it could have been answered once.
    return std::max(cycle_, kLeastWindow);
  }
  // A request came within the window, after `waited`.
  void came(std::uint64_t waited) {
    gap_ = mean(gap_, waited);
    if (!trying_) return;
    // Its end is not known yet.
    interval_ = since_try_ = kLeastInterval;
  }
  // None came: `answers` are a batch.
  void dry(std::uint32_t answers) {
    if (trying_ && answers <= expected_) interval_ = std::min(2 * interval_ + 1, kMostInterval);
    expected_ = answers;
    since_try_ = 0;
  }

 private:
  // Follows `value`, a quarter at a time.
  static std::uint64_t mean(std::uint64_t before, std::uint64_t value) {
    return before - before / 4 + std::min(value, 4 * kMostWindow) / 4;
  }

  std::uint32_t expected_ = 1;
  std::uint32_t interval_ = kLeastInterval;
  std::uint32_t since_try_ = 0;
  bool trying_ = false;
  std::uint64_t began_ = 0;
  std::uint64_t cycle_ = 4 * kMostWindow;  // from one batch to the next
  std::uint64_t gap_ = kMostWindow / 8;    // between the requests of a batch
};

}  // namespace mote::virtio
