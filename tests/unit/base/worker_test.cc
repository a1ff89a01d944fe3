#include "base/worker.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <thread>
#include <vector>

namespace mote {
namespace {

TEST(Worker, DoesItsFirstTask) {
  std::atomic<int> done = 0;
  auto worker = Worker::start(ThreadKind::kWorker, [&] { ++done; });
  ASSERT_TRUE(worker);
  (*worker)->wait();
  EXPECT_EQ(done, 1);
}

TEST(Worker, DoesWhatIsToBeDoneBeforeAllFirst) {
  std::vector<int> order;
  auto worker = Worker::start_elsewhere(
      ThreadKind::kWorker, [&] { order.push_back(2); }, [&] { order.push_back(1); });
  ASSERT_TRUE(worker);
  (*worker)->wait();
  EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST(Worker, WaitsForATaskAndEndsWithoutOne) {
  auto worker = Worker::start(ThreadKind::kWorker);
  ASSERT_TRUE(worker);
  (*worker)->wait();
}

TEST(Worker, DoesOneTaskAfterAnotherOnOneThread) {
  auto worker = Worker::start(ThreadKind::kWorker);
  ASSERT_TRUE(worker);
  std::vector<int> order;
  std::thread::id thread;
  for (int i = 0; i < 100; ++i) {
    (*worker)->run([&order, &thread, i] {
      if (i == 0) thread = std::this_thread::get_id();
      if (thread == std::this_thread::get_id()) order.push_back(i);
    });
  }
  (*worker)->wait();
  ASSERT_EQ(order.size(), 100U);
  EXPECT_EQ(order.back(), 99);
  EXPECT_NE(thread, std::this_thread::get_id());
}

TEST(Worker, DoesItsLastTaskWhenTheOneBeforeIsDone) {
  std::latch go(1);
  std::vector<int> order;
  auto worker = Worker::start(ThreadKind::kWorker);
  ASSERT_TRUE(worker);
  (*worker)->run([&] {
    go.wait();
    order.push_back(1);
  });
  // Comes back though the first is not done.
  (*worker)->run_last([&] { order.push_back(2); });
  go.count_down();
  worker->reset();
  EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST(Worker, DoesWhatItWasGivenBeforeItEnds) {
  std::atomic<int> done = 0;
  for (int i = 0; i < 100; ++i) {
    auto worker = Worker::start(ThreadKind::kWorker);
    ASSERT_TRUE(worker);
    (*worker)->run([&] { ++done; });
  }
  EXPECT_EQ(done, 100);
}

cpu_set_t allowed_processors() {
  cpu_set_t allowed;
  EXPECT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  return allowed;
}

TEST(Worker, KeepsOffAProcessorUntilItMayRoam) {
  const cpu_set_t mine = allowed_processors();
  auto worker = Worker::start_elsewhere(ThreadKind::kWorker);
  ASSERT_TRUE(worker);
  int kept = 0;
  (*worker)->run([&] {
    const cpu_set_t its = allowed_processors();
    kept = CPU_COUNT(&its);
  });
  (*worker)->wait();
  // Where there is only one, it stays allowed.
  EXPECT_EQ(kept, std::max(CPU_COUNT(&mine) - 1, 1));
  (*worker)->roam();
  bool same = false;
  (*worker)->run([&] {
    const cpu_set_t its = allowed_processors();
    same = CPU_EQUAL(&its, &mine);
  });
  (*worker)->wait();
  EXPECT_TRUE(same);
}

std::atomic<pid_t> raised_in = 0;

TEST(Worker, ASignalThatItRaisesIsItsOwn) {
  ::signal(SIGUSR1, [](int) { raised_in = ::gettid(); });
  pid_t its = 0;
  {
    auto worker = Worker::start(ThreadKind::kWorker, [&] {
      its = ::gettid();
      ::raise(SIGUSR1);
    });
    ASSERT_TRUE(worker);
    (*worker)->wait();
  }
  EXPECT_EQ(raised_in, its);
  note_thread();
  ::raise(SIGUSR1);
  EXPECT_EQ(raised_in, ::gettid());
  ::signal(SIGUSR1, SIG_DFL);
}

TEST(Worker, HasAStackThatNoHugePageFitsUnder) {
  std::size_t size = 0;
  auto worker = *Worker::start(ThreadKind::kWorker, [&] {
    pthread_attr_t attributes;
    ASSERT_EQ(::pthread_getattr_np(::pthread_self(), &attributes), 0);
    ::pthread_attr_getstacksize(&attributes, &size);
    ::pthread_attr_destroy(&attributes);
  });
  worker->wait();
  EXPECT_GE(size, std::size_t{512} << 10);
  EXPECT_LT(size, std::size_t{2} << 20);
}

}  // namespace
}  // namespace mote
