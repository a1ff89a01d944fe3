// Answer is what one thread works out and others wait for.
#pragma once

#include <latch>
#include <optional>
#include <utility>

namespace mote {

template <typename T>
class Answer {
 public:
  Answer() = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  // Once, by whoever worked it out.
  void give(T value) {
    value_.emplace(std::move(value));
    given_.count_down();
  }
  // Waits until it is there. From any thread.
  const T& get() const {
    given_.wait();
    return *value_;
  }
  // The same for the one who keeps it; nobody gets it afterwards.
  T take() {
    given_.wait();
    return std::move(*value_);
  }

 private:
  std::latch given_{1};
  std::optional<T> value_;  // once given
};

}  // namespace mote
