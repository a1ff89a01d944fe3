// Rendezvous is where vCPU threads and the machine thread meet: vCPUs park, go on and stop on its
// word, and hand it work that only the machine thread may do. While the machine thread waits for
// them it goes on serving such work, so that neither waits for the other for ever.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <thread>

#include "base/event_loop.h"
#include "base/sync.h"

namespace mote::machine {

// The role of the thread that owns the machine and runs its event loop.
inline constexpr ThreadRole kMachineThread;

class Rendezvous {
 public:
  // What vCPU threads are to do.
  enum class Order { kPark, kRun, kStop };

  // Made on the machine thread, whose loop `loop` is.
  explicit Rendezvous(EventLoop& loop) : loop_(loop) {}

  // From vCPU threads
  // ----------------------------------------------------------------------------------------------

  // The order in force; cheap.
  Order order() const { return order_.load(std::memory_order_acquire); }
  // Says that this vCPU is parked, and waits for an order other than kPark; returns it.
  Order wait_parked() EXCLUDES(mutex_);
  // Says that this vCPU's thread makes no more calls.
  void note_stopped() EXCLUDES(mutex_);
  // Runs `task` on the machine thread and returns when it is done; on the machine thread itself, at
  // once.
  void call(const std::function<void()>& task) EXCLUDES(mutex_);
  // Runs `task` here in the machine thread's stead, where that one is idle: what it answers. False
  // where it is not. The task makes no call() and waits for nothing.
  bool call_here(const std::function<bool()>& task) { return loop_.stand_in(task); }
  // Orders all vCPUs to stop, without waiting: for the one that met the end.
  void order_stop() EXCLUDES(mutex_);

  bool on_machine_thread() const { return std::this_thread::get_id() == machine_thread_; }

  // From the machine thread
  // ----------------------------------------------------------------------------------------

  // Gives `order`; `kick` makes the vCPU threads look (it interrupts KVM_RUN).
  void give(Order order, const std::function<void()>& kick) REQUIRES(kMachineThread)
      EXCLUDES(mutex_);
  // Serves calls until `count` vCPUs are parked or stopped.
  void wait_for(std::size_t count) REQUIRES(kMachineThread) EXCLUDES(mutex_);

 private:
  struct Call {
    const std::function<void()>* task;
    bool done = false;
  };
  // Runs what waits.
  void serve() REQUIRES(kMachineThread) EXCLUDES(mutex_);

  EventLoop& loop_;
  const std::thread::id machine_thread_ = std::this_thread::get_id();
  std::atomic<Order> order_ = Order::kPark;
  Mutex mutex_;
  Condition changed_;
  std::size_t parked_ GUARDED_BY(mutex_) = 0;
  std::size_t stopped_ GUARDED_BY(mutex_) = 0;
  std::deque<Call*> calls_ GUARDED_BY(mutex_);
};

}  // namespace mote::machine
