#include "machine/rendezvous.h"

#include <gtest/gtest.h>

#include <thread>

namespace mote::machine {
namespace {

constexpr auto kNoKick = [] {};

class RendezvousTest : public testing::Test {
 protected:
  RendezvousTest() : loop_(*EventLoop::create()), rendezvous_(*loop_) {
    kMachineThread.assert_held();
  }

  std::unique_ptr<EventLoop> loop_;
  Rendezvous rendezvous_;
};

TEST_F(RendezvousTest, ParkedThreadsGoOnAndStopOnOrder) NO_THREAD_SAFETY_ANALYSIS {
  std::atomic<int> turns = 0;
  std::thread vcpu([&] {
    while (true) {
      auto order = rendezvous_.order();
      if (order == Rendezvous::Order::kPark) order = rendezvous_.wait_parked();
      if (order == Rendezvous::Order::kStop) break;
      ++turns;
    }
    rendezvous_.note_stopped();
  });
  rendezvous_.wait_for(1);
  EXPECT_EQ(turns, 0);
  rendezvous_.give(Rendezvous::Order::kRun, kNoKick);
  while (turns == 0) std::this_thread::yield();
  rendezvous_.give(Rendezvous::Order::kPark, kNoKick);
  rendezvous_.wait_for(1);
  const int parked_at = turns;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(turns, parked_at);
  rendezvous_.give(Rendezvous::Order::kStop, kNoKick);
  rendezvous_.wait_for(1);
  vcpu.join();
}

TEST_F(RendezvousTest, ServesCallsWhileItWaitsForParking) NO_THREAD_SAFETY_ANALYSIS {
  const auto machine_thread = std::this_thread::get_id();
  std::thread::id served_on;
  rendezvous_.give(Rendezvous::Order::kRun, kNoKick);
  std::thread vcpu([&] {
    // In the middle of a device's register write when the order to park comes.
    rendezvous_.call([&] { served_on = std::this_thread::get_id(); });
    while (rendezvous_.order() == Rendezvous::Order::kRun) std::this_thread::yield();
    EXPECT_EQ(rendezvous_.wait_parked(), Rendezvous::Order::kStop);
    rendezvous_.note_stopped();
  });
  rendezvous_.give(Rendezvous::Order::kPark, kNoKick);
  rendezvous_.wait_for(1);
  EXPECT_EQ(served_on, machine_thread);
  rendezvous_.give(Rendezvous::Order::kStop, kNoKick);
  rendezvous_.wait_for(1);
  vcpu.join();
}

TEST_F(RendezvousTest, ServesCallsFromTheLoop) {
  bool served = false;
  std::thread vcpu([&] { rendezvous_.call([&] { served = true; }); });
  while (!served) ASSERT_TRUE(loop_->run_once(1000));
  vcpu.join();
}

TEST_F(RendezvousTest, AStopIsFinal) NO_THREAD_SAFETY_ANALYSIS {
  rendezvous_.order_stop();
  rendezvous_.give(Rendezvous::Order::kRun, kNoKick);
  EXPECT_EQ(rendezvous_.order(), Rendezvous::Order::kStop);
}

}  // namespace
}  // namespace mote::machine
