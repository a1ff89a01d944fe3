// What a monitor does while it writes a snapshot that takes long.
#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "snapshot_rig.h"

namespace mote::bare {
namespace {

using Clock = std::chrono::steady_clock;

class SnapshotMeanwhileTest : public SnapshotTest {
 protected:
  // A paused guest that has touched most of 1 GiB.
  Monitor start_large() {
    Monitor monitor = start_monitor("large");
    configure(monitor, 1, 1024, {}, "touch");
    EXPECT_EQ(monitor.put("/actions", R"({"action_type":"InstanceStart"})"), 204);
    EXPECT_TRUE(monitor.process.wait_for_output("ready\n"));
    EXPECT_TRUE(monitor.process.send("f"));
    EXPECT_TRUE(monitor.process.wait_for_output("done\n"));
    EXPECT_EQ(pause(monitor), 204);
    return monitor;
  }
  engine::ApiRequest create_request(const Monitor& monitor, const std::string& name = "s") const {
    return {.socket = monitor.socket,
            .method = "PUT",
            .path = "/snapshot/create",
            .body = fmt::format(R"({{"snapshot_path":"{0}","mem_file_path":"{0}.mem"}})",
                                path_of(name))};
  }
  // Until its writing has begun.
  void wait_for_begin() const {
    for (int tries = 0; tries < 10'000; ++tries) {
      if (std::filesystem::exists(path_of("s.mem.new"))) return;
      ::usleep(1000);
    }
    ADD_FAILURE() << "no snapshot is being written";
  }
};

TEST_F(SnapshotMeanwhileTest, TheApiAnswers) {
  const Monitor monitor = start_large();
  std::atomic<bool> done = false;
  std::thread client([&] {
    const auto answer = engine::ask(create_request(monitor));
    done = true;
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 204) << answer->body;
  });
  wait_for_begin();
  std::thread resumer([&] {
    EXPECT_EQ(monitor.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
    EXPECT_TRUE(done || !std::filesystem::exists(path_of("s.mem.new")))
        << "the guest runs while its memory is written";
  });
  int answers = 0;
  bool refused = false;
  while (!done) {
    EXPECT_EQ(monitor.answer("GET", "/").status, 200);
    EXPECT_EQ(monitor.answer("GET", "/vm/config").status, 200);
    if (done) break;
    ++answers;
    const auto fork = monitor.answer("PUT", "/fork");
    refused = refused || fork.body.find("a snapshot is being made") != std::string::npos;
    ::usleep(1000);
  }
  EXPECT_GT(answers, 5);
  EXPECT_TRUE(refused);
  client.join();
  resumer.join();
  EXPECT_EQ(std::filesystem::file_size(path_of("s.mem")), std::size_t{1} << 30);
  const Monitor second = start_monitor("second");
  EXPECT_EQ(load(second, "s"), 204);
}

// What waits for one snapshot also waits for the next, which waited before it.
TEST_F(SnapshotMeanwhileTest, OneAfterTheOther) {
  const Monitor monitor = start_large();
  std::atomic<int> made = 0;
  const auto create = [&](const char* name) {
    const auto answer = engine::ask(create_request(monitor, name));
    ++made;
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 204) << answer->body;
  };
  std::thread first(create, "s");
  wait_for_begin();
  std::thread second(create, "t");
  ::usleep(100'000);
  ASSERT_EQ(made, 0) << "the first took no time";
  EXPECT_EQ(monitor.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
  // Its answer is there before the guest goes on, and may be read a moment later.
  for (int tries = 0; tries < 100 && made < 2; ++tries) ::usleep(1000);
  EXPECT_EQ(made, 2) << "the guest runs while its memory is written";
  first.join();
  second.join();
}

TEST_F(SnapshotMeanwhileTest, ASignalEndsItAndLeavesNothing) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Monitor monitor = start_large();
    std::thread client([&] {
      if (const auto answer = engine::ask(create_request(monitor))) {
        EXPECT_EQ(answer->status, 400);
        EXPECT_NE(answer->body.find("the microVM has ended"), std::string::npos) << answer->body;
      }
    });
    wait_for_begin();
    ::usleep(50'000);
    const auto began = Clock::now();
    monitor.process.signal(signal);
    const auto ending = monitor.process.finish();
    client.join();
    ASSERT_TRUE(ending);
    EXPECT_EQ(ending->text(), fmt::format("signal {}", signal));
    EXPECT_LT(Clock::now() - began, std::chrono::seconds(5));
    for (const char* name : {"s", "s.new", "s.mem", "s.mem.new"}) {
      EXPECT_FALSE(std::filesystem::exists(path_of(name))) << name;
    }
  }
}

}  // namespace
}  // namespace mote::bare
