#include "base/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <thread>

namespace mote {
namespace {

using namespace std::chrono_literals;

class EventLoopTest : public testing::Test {
 protected:
  UniqueFd event_ = *make_eventfd();
  std::unique_ptr<EventLoop> loop_ = *EventLoop::create();
};

TEST_F(EventLoopTest, CallsTheHandlerOfWhatIsReady) {
  int calls = 0;
  const auto watch = loop_->watch(event_.get(), EPOLLIN, [&](std::uint32_t events) {
    EXPECT_EQ(events, static_cast<std::uint32_t>(EPOLLIN));
    EXPECT_EQ(drain_eventfd(event_.get()), 1U);
    ++calls;
  });
  ASSERT_TRUE(watch);
  EXPECT_FALSE(*loop_->run_once(0));
  signal_eventfd(event_.get());
  EXPECT_TRUE(*loop_->run_once(0));
  EXPECT_FALSE(*loop_->run_once(0));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, DropsWhatIsPostedOnceItIsClosed) {
  bool ran = false;
  const auto token = std::make_shared<int>();
  loop_->post([&ran, token] { ran = true; });
  EXPECT_EQ(token.use_count(), 2);
  loop_->close();
  EXPECT_EQ(token.use_count(), 1);
  loop_->post([&ran, token] { ran = true; });
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_TRUE(*loop_->run_once(0)) << "the first had woken it";
  EXPECT_FALSE(ran);
}

TEST_F(EventLoopTest, RefusesToWatchWhatCannotBeWatched) {
  EXPECT_FALSE(loop_->watch(-1, EPOLLIN, [](std::uint32_t) {}));
  const auto watch = loop_->watch(event_.get(), EPOLLIN, [](std::uint32_t) {});
  EXPECT_FALSE(loop_->watch(event_.get(), EPOLLIN, [](std::uint32_t) {}));
}

TEST_F(EventLoopTest, EndsWatchingWithTheWatch) {
  int calls = 0;
  {
    auto first = loop_->watch(event_.get(), EPOLLIN, [&](std::uint32_t) { ++calls; });
    EventLoop::Watch moved = std::move(*first);
    EXPECT_TRUE(moved);
    EXPECT_FALSE(*first);  // NOLINT(bugprone-use-after-move): that it is empty is what is tested
    signal_eventfd(event_.get());
    EXPECT_TRUE(*loop_->run_once(0));
  }
  EXPECT_FALSE(*loop_->run_once(0));
  EXPECT_EQ(calls, 1);
  // The descriptor may be watched again.
  EXPECT_TRUE(loop_->watch(event_.get(), EPOLLIN, [](std::uint32_t) {}));
}

TEST_F(EventLoopTest, PausesAndResumesAWatch) {
  int calls = 0;
  auto watch = *loop_->watch(event_.get(), EPOLLIN, [&](std::uint32_t) { ++calls; });
  signal_eventfd(event_.get());
  ASSERT_TRUE(watch.modify(0));
  EXPECT_FALSE(*loop_->run_once(0));
  ASSERT_TRUE(watch.modify(EPOLLIN));
  EXPECT_TRUE(*loop_->run_once(0));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, LetsAHandlerEndItsOwnWatch) {
  std::optional<EventLoop::Watch> watch;
  std::string text =
      "what the handler holds lives to its end, though nobody else holds it any more";
  std::string seen;
  watch = *loop_->watch(event_.get(), EPOLLIN, [&, text](std::uint32_t) {
    watch.reset();
    seen = text;
  });
  signal_eventfd(event_.get());
  EXPECT_TRUE(*loop_->run_once(0));
  EXPECT_EQ(seen, text);
  EXPECT_FALSE(*loop_->run_once(0));
}

TEST_F(EventLoopTest, LetsAHandlerEndAnotherWatchThatIsReadyToo) {
  const UniqueFd other = *make_eventfd(1);
  signal_eventfd(event_.get());
  std::optional<EventLoop::Watch> watches[2];
  int calls = 0;
  watches[0] = *loop_->watch(event_.get(), EPOLLIN, [&](std::uint32_t) {
    ++calls;
    watches[1].reset();
  });
  watches[1] = *loop_->watch(other.get(), EPOLLIN, [&](std::uint32_t) {
    ++calls;
    watches[0].reset();
  });
  EXPECT_TRUE(*loop_->run_once(0));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, RunsPostedWorkInOrderOnItsThread) {
  std::string order;
  const auto loop_thread = std::this_thread::get_id();
  std::thread poster([&] {
    loop_->post([&] {
      EXPECT_EQ(std::this_thread::get_id(), loop_thread);
      order += 'a';
    });
    loop_->post([&] { order += 'b'; });
    loop_->stop();
  });
  ASSERT_TRUE(loop_->run());
  poster.join();
  EXPECT_EQ(order, "ab");
}

TEST_F(EventLoopTest, RunsWorkThatIsPostedByWork) {
  int runs = 0;
  loop_->post([&] {
    ++runs;
    loop_->post([&] {
      ++runs;
      loop_->stop();
    });
  });
  ASSERT_TRUE(loop_->run());
  EXPECT_EQ(runs, 2);
}

TEST_F(EventLoopTest, GoesOnFromWithinATask) {
  std::string order;
  loop_->post([&] {
    order += 'a';
    EXPECT_FALSE(loop_->stopping());
    // What was posted behind it, and what that posts.
    EXPECT_TRUE(loop_->run_once(0));
    EXPECT_TRUE(loop_->run_once(0));
    EXPECT_EQ(order, "abc");
    EXPECT_TRUE(loop_->stopping());
    order += 'd';
  });
  loop_->post([&] {
    order += 'b';
    loop_->post([&] { order += 'c'; });
    loop_->stop();
  });
  ASSERT_TRUE(loop_->run());
  EXPECT_EQ(order, "abcd");
}

TEST_F(EventLoopTest, TakesWorkFromManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 500;
  int runs = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int task = 0; task < kTasks; ++task) {
        loop_->post([&] {
          if (++runs == kThreads * kTasks) loop_->stop();
        });
      }
    });
  }
  ASSERT_TRUE(loop_->run());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(runs, kThreads * kTasks);
}

TEST_F(EventLoopTest, StopsThoughStoppedBeforeItRan) {
  loop_->stop();
  EXPECT_TRUE(loop_->run());
}

TEST_F(EventLoopTest, FiresATimerOnce) {
  int fired = 0;
  auto timer = *loop_->timer([&] { ++fired; });
  EXPECT_FALSE(*loop_->run_once(0));
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(timer.set(20ms));
  EXPECT_TRUE(*loop_->run_once(5000));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
  EXPECT_FALSE(*loop_->run_once(30));
  EXPECT_EQ(fired, 1);
  ASSERT_TRUE(timer.set(0ms));
  EXPECT_TRUE(*loop_->run_once(5000));
  EXPECT_EQ(fired, 2);
}

TEST_F(EventLoopTest, FiresATimerPeriodicallyUntilDisarmed) {
  int fired = 0;
  auto timer = *loop_->timer([&] { ++fired; });
  ASSERT_TRUE(timer.set_periodic(1ms));
  while (fired < 3) ASSERT_TRUE(*loop_->run_once(5000));
  ASSERT_TRUE(timer.disarm());
  EXPECT_FALSE(*loop_->run_once(20));
  EXPECT_EQ(fired, 3);
}

TEST_F(EventLoopTest, ForgetsATimerThatIsSetAnewInItsTurn) {
  int fired = 0;
  auto timer = *loop_->timer([&] { ++fired; });
  ASSERT_TRUE(timer.set(1ms));
  std::this_thread::sleep_for(5ms);
  ASSERT_TRUE(timer.set(10min));
  EXPECT_FALSE(*loop_->run_once(0));
  EXPECT_EQ(fired, 0);
}

TEST_F(EventLoopTest, NobodyStandsInBeforeItRunsOrAfter) {
  bool ran = false;
  EXPECT_FALSE(loop_->stand_in([&] { return ran = true; }));
  loop_->stop();
  ASSERT_TRUE(loop_->run());
  EXPECT_FALSE(loop_->stand_in([&] { return ran = true; }));
  EXPECT_FALSE(ran);
}

TEST_F(EventLoopTest, NobodyStandsInWhileItIsAtWork) {
  bool ran = false;
  loop_->post([&] {
    std::thread([&] { EXPECT_FALSE(loop_->stand_in([&] { return ran = true; })); }).join();
    // Nor while a task has the loop go on.
    loop_->post([&] {
      std::thread([&] { EXPECT_FALSE(loop_->stand_in([&] { return ran = true; })); }).join();
      loop_->stop();
    });
    ASSERT_TRUE(loop_->run_once(0));
  });
  ASSERT_TRUE(loop_->run());
  EXPECT_FALSE(ran);
}

// What both do is done by one at a time, and the loop gets its turn.
TEST_F(EventLoopTest, ThreadsStandInWhileItWaits) {
  constexpr int kTurns = 1000;
  std::uint64_t both = 0;  // guarded by nothing else
  int stood_in = 0;
  int turns = 0;
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!over) {
        loop_->stand_in([&] {
          ++both;
          ++stood_in;
          return true;
        });
      }
    });
  }
  std::function<void()> turn = [&] {
    ++both;
    if (++turns == kTurns) return loop_->stop();
    loop_->post([&] { turn(); });
  };
  // Both wait for events meanwhile, and do not.
  auto timer = *loop_->timer([&] { turn(); });
  ASSERT_TRUE(timer.set(20ms));
  ASSERT_TRUE(loop_->run());
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(turns, kTurns);
  EXPECT_GT(stood_in, 0);
  EXPECT_EQ(both, static_cast<std::uint64_t>(turns + stood_in));
}

TEST_F(EventLoopTest, WaitsForWhoStandsIn) {
  std::atomic<bool> inside = false;
  bool done = false;
  std::thread other([&] {
    while (!loop_->stand_in([&] {
      inside = true;
      std::this_thread::sleep_for(50ms);
      std::thread([&] {
        EXPECT_FALSE(loop_->stand_in([] { return true; })) << "one at a time";
      }).join();
      return done = true;
    })) {
    }
  });
  std::thread poster([&] {
    while (!inside) std::this_thread::yield();
    loop_->post([&] {
      EXPECT_TRUE(done);
      loop_->stop();
    });
  });
  ASSERT_TRUE(loop_->run());
  other.join();
  poster.join();
}

TEST_F(EventLoopTest, TellsOfAHangUpThoughNothingElseIsWatched) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  std::uint32_t seen = 0;
  const auto watch = *loop_->watch(out.get(), 0, [&](std::uint32_t events) { seen = events; });
  in.reset();
  EXPECT_TRUE(*loop_->run_once(0));
  EXPECT_EQ(seen, static_cast<std::uint32_t>(EPOLLHUP));
}

}  // namespace
}  // namespace mote
