// Worker is a thread that does one task after another as it is told.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "base/result.h"
#include "base/sync.h"

namespace mote {

class Worker {
 public:
  using Task = std::move_only_function<void()>;

  // Starts the thread on `first`.
  static Result<std::unique_ptr<Worker>> start(Task first);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // Waits for what it does, and ends the thread.
  ~Worker();

  // Waits until the task is done.
  void wait() EXCLUDES(mutex_);
  // Gives it its next task, once the one before is done.
  void run(Task next) EXCLUDES(mutex_);

 private:
  explicit Worker(Task first) : task_(std::move(first)) {}
  void main() EXCLUDES(mutex_);

  Mutex mutex_;
  Condition changed_;
  Task task_ GUARDED_BY(mutex_);  // empty: idle
  bool busy_ GUARDED_BY(mutex_) = false;
  bool ending_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace mote
