// What metrics are made of: counts, values and durations that any thread may change and any other
// may read. A struct of them, described, is what a part of the monitor counts.
#pragma once

#include <algorithm>
#include <atomic>
#include <boost/describe/class.hpp>
#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>
#include <chrono>
#include <cstdint>

namespace mote {

namespace detail {

// A number that threads share without a lock and without an order to anything else.
class SharedNumber {
 public:
  SharedNumber() = default;
  SharedNumber(std::uint64_t value) : value_(value) {}  // NOLINT(google-explicit-constructor)
  // A copy has the value of that moment.
  SharedNumber(const SharedNumber& other) : value_(other.load()) {}
  SharedNumber& operator=(const SharedNumber& other) {
    store(other.load());
    return *this;
  }

  std::uint64_t load() const { return value_.load(std::memory_order_relaxed); }
  operator std::uint64_t() const { return load(); }  // NOLINT(google-explicit-constructor)

 protected:
  void store(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(std::uint64_t count) { value_.fetch_add(count, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

}  // namespace detail

// How often something happened, or how many bytes it was: only grows.
class Counter : public detail::SharedNumber {
 public:
  using SharedNumber::SharedNumber;
  Counter& operator++() {
    add(1);
    return *this;
  }
  Counter& operator+=(std::uint64_t count) {
    add(count);
    return *this;
  }
};

// What something was when somebody last looked.
class Gauge : public detail::SharedNumber {
 public:
  using SharedNumber::SharedNumber;
  Gauge& operator=(std::uint64_t value) {
    store(value);
    return *this;
  }
};

// How long something took, in microseconds: the shortest and the longest time, and all of them
// together. Written by one thread at a time.
struct LatencyAggregate {
  Gauge min_us;
  Gauge max_us;
  Counter sum_us;

  void add(std::uint64_t us) {
    if ((sum_us == 0 && max_us == 0) || us < min_us) min_us = us;
    if (us > max_us) max_us = us;
    sum_us += us;
  }
};
BOOST_DESCRIBE_STRUCT(LatencyAggregate, (), (min_us, max_us, sum_us))

// Adds what `from` counted to what `into` did: of two that do the same.
inline void merge(Counter& into, const Counter& from) { into += from; }
inline void merge(Gauge& into, const Gauge& from) {
  if (from > into) into = from;
}
inline void merge(LatencyAggregate& into, const LatencyAggregate& from) {
  if (from.sum_us == 0 && from.max_us == 0) return;
  const bool first = into.sum_us == 0 && into.max_us == 0;
  if (first || from.min_us < into.min_us) into.min_us = from.min_us;
  merge(into.max_us, from.max_us);
  merge(into.sum_us, from.sum_us);
}
template <typename Counts>
  requires boost::describe::has_describe_members<Counts>::value
void merge(Counts& into, const Counts& from) {
  boost::mp11::mp_for_each<boost::describe::describe_members<Counts, boost::describe::mod_public>>(
      [&](auto member) { merge(into.*member.pointer, from.*member.pointer); });
}

// Adds the time from its making to its end to a LatencyAggregate, or stores it in a Gauge.
template <typename Target>
class LatencyScope {
 public:
  explicit LatencyScope(Target& target) : target_(target) {}
  LatencyScope(const LatencyScope&) = delete;
  LatencyScope& operator=(const LatencyScope&) = delete;
  ~LatencyScope() {
    const auto us = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start_).count());
    if constexpr (requires { target_.add(us); }) {
      target_.add(us);
    } else {
      // 0 is what was never done.
      target_ = std::max<std::uint64_t>(us, 1);
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  Target& target_;
  const Clock::time_point start_ = Clock::now();
};

}  // namespace mote
