// Worker is a thread that does one task after another as it is told.
#pragma once

#include <signal.h>

#include <functional>
#include <memory>
#include <thread>

#include "base/result.h"
#include "base/sync.h"
#include "base/thread_guard.h"

namespace mote {

// Threads that are made from now on have stacks of 1 MiB, less than a huge page: where the host
// hands those out unasked, one would lie under a stack that ends at a multiple of its size, as some
// do, and cost 2 MiB for a few KiB. Worker::start() sees to it itself.
void limit_stacks();

class Worker {
 public:
  using Task = std::move_only_function<void()>;

  // Starts a thread of that kind on `first`; without a task it waits for one. Errors: the host has
  // no thread for it.
  static Result<std::unique_ptr<Worker>> start(ThreadKind kind, Task first = {});
  // The same on another processor than the caller's, where there is one: the scheduler may put a
  // new thread behind whoever made it, or before it, though another processor is idle. Until
  // roam(). What is to be done `before` all is done while the thread may do what its maker may.
  static Result<std::unique_ptr<Worker>> start_elsewhere(ThreadKind kind, Task first = {},
                                                         Task before = {});
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // Waits for what it does, and ends the thread.
  ~Worker();

  // Waits until the task is done.
  void wait() EXCLUDES(mutex_);
  // Gives it its next task, once the one before is done.
  void run(Task next) EXCLUDES(mutex_);
  // Gives it the task that it ends with, for when it has done what it does now. Does not wait.
  void run_last(Task last) EXCLUDES(mutex_);
  // Lets the thread run wherever the caller may.
  void roam() EXCLUDES(mutex_);
  // Sends the thread a signal. Before its end has been waited for.
  void signal(int number) { ::pthread_kill(thread_.native_handle(), number); }

 private:
  explicit Worker(Task first, Task before = {})
      : before_(std::move(before)), task_(std::move(first)) {}
  static Result<std::unique_ptr<Worker>> start(std::unique_ptr<Worker> worker, ThreadKind kind);
  void main(ThreadKind kind) EXCLUDES(mutex_);
  // Waits for the next task; empty: there is none any more.
  Task next() EXCLUDES(mutex_);

  Task before_;  // the thread's own
  Mutex mutex_;
  Condition changed_;
  Task task_ GUARDED_BY(mutex_);  // empty: idle
  Task last_ GUARDED_BY(mutex_);  // for when there is no other
  bool busy_ GUARDED_BY(mutex_) = false;
  bool ending_ GUARDED_BY(mutex_) = false;
  int not_here_ GUARDED_BY(mutex_) = -1;  // a processor that it leaves at once
  std::thread thread_;
};

}  // namespace mote
