#include "base/worker.h"

#include <system_error>
#include <utility>

namespace mote {

Result<std::unique_ptr<Worker>> Worker::start(Task first) {
  std::unique_ptr<Worker> worker(new Worker(std::move(first)));
  try {
    worker->thread_ = std::thread([self = worker.get()] { self->main(); });
  } catch (const std::system_error& error) {
    return fail_errno(error.code().value(), "start a thread");
  }
  return worker;
}

Worker::~Worker() {
  {
    MutexLock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Worker::wait() {
  MutexLock lock(mutex_);
  while (busy_ || task_ || last_) changed_.wait(mutex_);
}

void Worker::run(Task next) {
  {
    MutexLock lock(mutex_);
    while (busy_ || task_) changed_.wait(mutex_);
    task_ = std::move(next);
  }
  changed_.notify_all();
}

void Worker::run_last(Task last) {
  {
    MutexLock lock(mutex_);
    last_ = std::move(last);
    ending_ = true;
  }
  changed_.notify_all();
}

Worker::Task Worker::next() {
  MutexLock lock(mutex_);
  busy_ = false;
  if (!task_) changed_.notify_all();
  while (!task_ && !ending_) changed_.wait(mutex_);
  busy_ = task_ || last_;
  return std::exchange(task_ ? task_ : last_, Task());
}

void Worker::main() {
  while (Task task = next()) task();
}

}  // namespace mote
