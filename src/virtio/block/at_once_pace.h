// AtOncePace decides whether a queue's kicks are answered at once, on the thread of the vCPU that
// kicks (KickRoute::kHere). For a driver that has one small read under way at a time, and a host
// that has the data at hand, this saves waking the machine thread and the guest's processor, which
// take far longer than the read. A driver that has many under way is served better by a thread of
// its own, beside which it goes on. So it is begun when requests have come one by one, tried now
// and then by handing one to the machine thread, which looks for others, and ended when there are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

namespace mote::virtio {

class AtOncePace {
 public:
  // Single reads in a row after which it begins. Doubled each time that it was not worth it: that
  // it gave fewer than kWorth answers for each of them.
  static constexpr std::uint32_t kEnough = 16;
  static constexpr std::uint32_t kMostEnough = 4096;
  static constexpr std::uint32_t kWorth = 4;
  // Each answer is a credit, up to so many, and each kick that has none costs some.
  static constexpr std::uint32_t kMostCredit = 32;
  static constexpr std::uint32_t kMiss = 4;
  // All in nanoseconds. An answer that takes longer is as good as none: the host had to fetch what
  // it was said to have at hand.
  static constexpr std::uint64_t kLong = 500'000;
  // Between two tries, the more the longer it goes on; and at least from an end to a beginning, as
  // each is a change of what KVM answers by itself.
  static constexpr std::uint64_t kLeastBetween = 25'000'000;
  static constexpr std::uint64_t kMostBetween = 400'000'000;

  // What the machine thread found when it served the queue: at least one request.
  struct Run {
    std::uint32_t requests = 0;
    std::uint32_t together = 0;  // the most that were there before one of them was answered
    std::uint32_t small_reads = 0;
  };

  bool on() const { return on_; }

  // The machine thread has served them, from `now` on; `done`: and all of them could be.
  void served(const Run& run, bool done, std::uint64_t now) {
    if (on_) {
      const bool tried = std::exchange(tried_, false);
      if (run.together > 1) return end(now);
      if (!tried) missed(now);
      return;
    }
    const bool one_by_one = run.together <= 1 && run.small_reads == run.requests && done;
    single_ = one_by_one ? single_ + run.requests : 0;
    if (single_ >= enough_ && now >= not_before_) begin(now);
  }
  // A kick has come here at `now`: whether it is to be handed on, to see what the driver does
  // meanwhile.
  bool try_other(std::uint64_t now) {
    if (now < try_at_) return false;
    between_ = std::min(2 * between_, kMostBetween);
    try_at_ = now + between_;
    tried_ = true;
    return true;
  }
  // It was answered, from `began` to `now`.
  void answered(std::uint64_t began, std::uint64_t now) {
    if (now - began > kLong) return missed(now);
    ++answers_;
    credit_ = std::min(credit_ + 1, kMostCredit);
  }
  // Kicks cannot come here.
  void give_up() {
    on_ = false;
    enough_ = std::numeric_limits<std::uint32_t>::max();
  }

 private:
  void begin(std::uint64_t now) {
    on_ = true;
    answers_ = 0;
    credit_ = kMostCredit;
    between_ = kLeastBetween;
    try_at_ = now + between_;
    tried_ = false;
  }
  void missed(std::uint64_t now) {
    credit_ -= std::min(credit_, kMiss);
    if (credit_ == 0) end(now);
  }
  void end(std::uint64_t now) {
    on_ = false;
    single_ = 0;
    not_before_ = now + kLeastBetween;
    const bool worth = answers_ / kWorth >= enough_;
    enough_ = worth ? kEnough : std::min(2 * enough_, kMostEnough);
  }

  bool on_ = false;
  std::uint32_t enough_ = kEnough;
  std::uint32_t single_ = 0;   // in a row, while off
  std::uint64_t answers_ = 0;  // since it was begun
  std::uint32_t credit_ = 0;
  std::uint64_t between_ = kLeastBetween;
  std::uint64_t try_at_ = 0;
  bool tried_ = false;  // one was handed on, and is not served yet
  std::uint64_t not_before_ = 0;
};

}  // namespace mote::virtio
