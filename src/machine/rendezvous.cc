#include "machine/rendezvous.h"

namespace mote::machine {

Rendezvous::Order Rendezvous::wait_parked() {
  MutexLock lock(mutex_);
  ++parked_;
  changed_.notify_all();
  while (order() == Order::kPark) changed_.wait(mutex_);
  --parked_;
  return order();
}

void Rendezvous::note_stopped() {
  MutexLock lock(mutex_);
  ++stopped_;
  changed_.notify_all();
}

void Rendezvous::call(const std::function<void()>& task) {
  if (on_machine_thread()) return task();
  Call call{.task = &task};
  {
    MutexLock lock(mutex_);
    calls_.push_back(&call);
    changed_.notify_all();
  }
  // The machine thread is in its loop, or in wait_for(), which looks by itself.
  loop_.post([this] {
    kMachineThread.assert_held();
    serve();
  });
  MutexLock lock(mutex_);
  while (!call.done) changed_.wait(mutex_);
}

void Rendezvous::order_stop() {
  {
    MutexLock lock(mutex_);
    order_.store(Order::kStop, std::memory_order_release);
  }
  changed_.notify_all();
}

void Rendezvous::give(Order order, const std::function<void()>& kick) {
  {
    MutexLock lock(mutex_);
    // A stop is final.
    if (this->order() != Order::kStop) order_.store(order, std::memory_order_release);
  }
  changed_.notify_all();
  kick();
}

void Rendezvous::wait_for(std::size_t count) {
  while (true) {
    serve();
    MutexLock lock(mutex_);
    if (!calls_.empty()) continue;
    if (parked_ + stopped_ >= count) return;
    changed_.wait(mutex_);
  }
}

void Rendezvous::serve() {
  while (true) {
    Call* call = nullptr;
    {
      MutexLock lock(mutex_);
      if (calls_.empty()) return;
      call = calls_.front();
      calls_.pop_front();
    }
    (*call->task)();
    MutexLock lock(mutex_);
    call->done = true;
    changed_.notify_all();
  }
}

}  // namespace mote::machine
