#include "base/worker.h"

#include <pthread.h>
#include <sched.h>

#include <system_error>
#include <utility>

#include "base/log.h"

namespace mote {

namespace {

// Refused where no other processor is left.
void keep_off(pthread_t thread, int processor) {
  cpu_set_t allowed;
  if (processor < 0 || ::sched_getaffinity(0, sizeof allowed, &allowed) < 0) return;
  CPU_CLR(processor, &allowed);
  ::pthread_setaffinity_np(thread, sizeof allowed, &allowed);
}

}  // namespace

void limit_stacks() {
  constexpr std::size_t kStack = 1 << 20;
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return;
  ::pthread_attr_setstacksize(&attributes, kStack);
  ::pthread_setattr_default_np(&attributes);
  ::pthread_attr_destroy(&attributes);
}

Result<std::unique_ptr<Worker>> Worker::start(std::unique_ptr<Worker> worker, ThreadKind kind) {
  limit_stacks();
  try {
    worker->thread_ = std::thread([self = worker.get(), kind] { self->main(kind); });
  } catch (const std::system_error& error) {
    return fail_errno(error.code().value(), "start a thread");
  }
  return worker;
}

Result<std::unique_ptr<Worker>> Worker::start(ThreadKind kind, Task first) {
  return start(std::unique_ptr<Worker>(new Worker(std::move(first))), kind);
}

Result<std::unique_ptr<Worker>> Worker::start_elsewhere(ThreadKind kind, Task first, Task before) {
  std::unique_ptr<Worker> worker(new Worker(std::move(first), std::move(before)));
  {
    MutexLock lock(worker->mutex_);
    worker->not_here_ = ::sched_getcpu();
  }
  MOTE_TRY(worker, start(std::move(worker), kind));
  keep_off(worker->thread_.native_handle(), ::sched_getcpu());
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

void Worker::roam() {
  cpu_set_t allowed;
  MutexLock lock(mutex_);
  if (not_here_ < 0) return;
  not_here_ = -1;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) < 0) return;
  ::pthread_setaffinity_np(thread_.native_handle(), sizeof allowed, &allowed);
}

Worker::Task Worker::next() {
  MutexLock lock(mutex_);
  busy_ = false;
  if (!task_) changed_.notify_all();
  while (!task_ && !ending_) changed_.wait(mutex_);
  busy_ = task_ || last_;
  return std::exchange(task_ ? task_ : last_, Task());
}

void Worker::main(ThreadKind kind) {
  {
    // It may be first to run.
    MutexLock lock(mutex_);
    if (not_here_ >= 0 && ::sched_getcpu() == not_here_) keep_off(::pthread_self(), not_here_);
  }
  if (Task before = std::exchange(before_, {})) before();
  enter_thread(kind);
  if (kind == ThreadKind::kWorker) log::name_thread("mote_worker");
  while (Task task = next()) task();
}

}  // namespace mote
