// Background runs one function on a thread of its own, beside what its maker does meanwhile.
#pragma once

#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace mote {

template <typename T>
class Background {
 public:
  // Starts `work`; where no thread can be had, does it at once.
  template <typename Work>
  explicit Background(Work work) {
    try {
      thread_ = std::thread([this, work]() mutable { result_ = work(); });
    } catch (const std::system_error&) {
      result_ = work();
    }
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background() { wait(); }

  // What the function returned, once it has. To be called once.
  T take() {
    wait();
    return std::move(*result_);
  }

 private:
  void wait() {
    if (thread_.joinable()) thread_.join();
  }

  std::optional<T> result_;
  std::thread thread_;
};

}  // namespace mote
