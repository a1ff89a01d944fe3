// Live fork as a client makes it: children of a guest that runs on, of children, of what was
// loaded; what each writes is its own, and nobody's end is another's.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "base/json.h"
#include "served_test.h"

namespace mote::bare {
namespace {

class ForkTest : public ServedTest {
 protected:
  static constexpr const char* kForkable = R"(,"forkable":true)";
  static constexpr const char* kFromDescriptors =
      R"("mem_backend":{"backend_type":"Descriptors"},"resume_vm":true)";

  static std::vector<UniqueFd> fork(const Monitor& monitor) {
    engine::ApiAnswer answer = monitor.answer("PUT", "/fork");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return std::move(answer.descriptors);
  }
  static engine::ApiAnswer load(const Monitor& monitor, std::span<const UniqueFd> descriptors,
                                const std::string& more = {}) {
    return monitor.answer("PUT", "/snapshot/load", fmt::format("{{{}{}}}", kFromDescriptors, more),
                          descriptors);
  }
  Monitor child_of(std::span<const UniqueFd> descriptors, const std::string& name) {
    Monitor child = start_monitor(name);
    const auto loaded = load(child, descriptors);
    EXPECT_EQ(loaded.status, 204) << loaded.body;
    return child;
  }
  static void expect_count(Monitor& monitor, int count) {
    EXPECT_TRUE(monitor.process.send("x"));
    EXPECT_TRUE(monitor.process.wait_for_output(counted(count))) << monitor.process.output();
  }
};

TEST_F(ForkTest, ParentAndChildrenGoOnApart) {
  for (const unsigned vcpus : {1U, 2U}) {
    SCOPED_TRACE(vcpus);
    Monitor parent = start_counter(vcpus, kForkable);
    const auto descriptors = fork(parent);
    ASSERT_EQ(descriptors.size(), 2U);
    expect_count(parent, 4);
    Monitor one = child_of(descriptors, "one");
    Monitor other = child_of(descriptors, "other");
    expect_count(one, 4);
    expect_count(one, 5);
    expect_count(other, 4);
    expect_count(parent, 5);
    expect_count(parent, 6);
    EXPECT_EQ(parent.put("/fork", R"({"n":1})"), 400) << "no such field";
  }
}

TEST_F(ForkTest, ForksOfForksAndOfAParentThatWroteMeanwhile) {
  Monitor parent = start_counter(1, kForkable);
  const auto first = fork(parent);
  expect_count(parent, 4);
  const auto second = fork(parent);
  EXPECT_EQ(second.size(), 3U) << "what was written since is a layer more";
  Monitor early = child_of(first, "early");
  Monitor late = child_of(second, "late");
  expect_count(early, 4);
  expect_count(late, 5);
  const auto third = fork(late);
  EXPECT_EQ(third.size(), 4U);
  expect_count(late, 6);
  Monitor grandchild = child_of(third, "grandchild");
  // The end of those that it comes from is nothing to it.
  parent.process.signal(SIGKILL);
  late.process.signal(SIGKILL);
  EXPECT_TRUE(parent.process.finish());
  EXPECT_TRUE(late.process.finish());
  expect_count(grandchild, 6);
  expect_count(grandchild, 7);
  expect_count(early, 5);
}

// $MOTE_SNAPSHOT_KILLS times (500 on request), at a random moment: what it answered with is whole,
// and what it came from itself stays as it was.
TEST_F(ForkTest, AParentKilledWhileItForksHarmsNobody) {
  std::mt19937 random(static_cast<unsigned>(::getpid()));
  const int rounds = count_of("MOTE_SNAPSHOT_KILLS", 12);
  Monitor first = start_counter(1, kForkable);
  const auto origin = fork(first);
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(round);
    Monitor parent = child_of(origin, "parent");
    expect_count(parent, 4);
    std::vector<UniqueFd> descriptors;
    std::thread client([&] {
      // Whether it is answered depends on the moment.
      auto answer = engine::ask({.socket = parent.socket, .method = "PUT", .path = "/fork"});
      if (answer && answer->status == 200) descriptors = std::move(answer->descriptors);
    });
    ::usleep(static_cast<useconds_t>(random() % 4'000));
    EXPECT_EQ(::kill(parent.process.pid(), SIGKILL), 0);
    client.join();
    if (!descriptors.empty()) {
      Monitor child = child_of(descriptors, "child");
      expect_count(child, 5);
    }
    Monitor sibling = child_of(origin, "sibling");
    expect_count(sibling, 4);
  }
  expect_count(first, 4);
}

TEST_F(ForkTest, APausedParentStaysPaused) {
  Monitor parent = start_counter(1, kForkable);
  EXPECT_EQ(pause(parent), 204);
  const auto descriptors = fork(parent);
  EXPECT_NE(parent.answer("GET", "/").body.find(R"("state":"Paused")"), std::string::npos);
  Monitor child = child_of(descriptors, "child");
  expect_count(child, 4);
  EXPECT_EQ(parent.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
  expect_count(parent, 4);
}

TEST_F(ForkTest, WhatWasLoadedCanBeForked) {
  const auto files =
      fmt::format(R"("snapshot_path":"{}","mem_file_path":"{}")", path_of("s"), path_of("m"));
  {
    const Monitor first = start_counter(1);
    EXPECT_EQ(pause(first), 204);
    EXPECT_EQ(first.put("/snapshot/create", fmt::format("{{{}}}", files)), 204);
  }
  Monitor loaded = start_monitor("loaded");
  EXPECT_EQ(loaded.put("/snapshot/load", fmt::format(R"({{{},"resume_vm":true}})", files)), 204);
  expect_count(loaded, 4);
  Monitor child = child_of(fork(loaded), "child");
  expect_count(child, 5);
  expect_count(loaded, 5);
  // The files as descriptors do as well.
  std::vector<UniqueFd> open;
  open.emplace_back(::open(path_of("s").c_str(), O_RDONLY | O_CLOEXEC));
  open.emplace_back(::open(path_of("m").c_str(), O_RDONLY | O_CLOEXEC));
  Monitor other = child_of(open, "other");
  expect_count(other, 4);
}

TEST_F(ForkTest, ASnapshotOfAForkIsWhole) {
  Monitor parent = start_counter(1, kForkable);
  const auto files =
      fmt::format(R"("snapshot_path":"{}","mem_file_path":"{}")", path_of("s"), path_of("m"));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(pause(parent), 204);
    EXPECT_EQ(parent.put("/snapshot/create", fmt::format("{{{}}}", files)), 204);
    EXPECT_EQ(
        parent.put("/snapshot/create", fmt::format(R"({{{},"snapshot_type":"Diff"}})", files)), 400)
        << "nothing tells what has changed";
    EXPECT_EQ(parent.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
    Monitor loaded = start_monitor("loaded");
    EXPECT_EQ(loaded.put("/snapshot/load", fmt::format(R"({{{},"resume_vm":true}})", files)), 204);
    expect_count(loaded, 4 + round);
    static_cast<void>(fork(parent));
    expect_count(parent, 4 + round);
  }
}

TEST_F(ForkTest, WhatCannotBeForkedSaysSo) {
  const Monitor plain = start_counter(1);
  const auto refused = plain.answer("PUT", "/fork");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("forkable"), std::string::npos) << refused.body;
  EXPECT_TRUE(refused.descriptors.empty());
  const Monitor empty = start_monitor("empty");
  EXPECT_EQ(empty.put("/fork", ""), 400);
}

TEST_F(ForkTest, AFileThatTheParentWritesIsNoChilds) {
  Monitor parent = start_monitor("parent");
  configure(parent, 1, 64, kForkable);
  const std::string disk = write_file("disk", std::string(4096, 'd'));
  const std::string copy = write_file("copy", std::string(4096, 'd'));
  EXPECT_EQ(parent.put("/drives/d", drive("d", disk)), 204);
  EXPECT_EQ(parent.put("/actions", R"({"action_type":"InstanceStart"})"), 204);
  EXPECT_TRUE(parent.process.send("a"));
  EXPECT_TRUE(parent.process.wait_for_output(counted(1)));
  const auto descriptors = fork(parent);
  Monitor child = start_monitor("child");
  const auto refused = load(child, descriptors);
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("has the same file"), std::string::npos) << refused.body;
  const auto taken =
      load(child, descriptors,
           fmt::format(R"(,"drive_overrides":[{{"drive_id":"d","path_on_host":"{}"}}])", copy));
  EXPECT_EQ(taken.status, 204) << taken.body;
  expect_count(child, 2);
}

TEST_F(ForkTest, WhateverComesAsDescriptorsIsCheckedAndAnotherLoadMayFollow) {
  Monitor parent = start_counter(1, kForkable);
  const auto descriptors = fork(parent);
  Monitor child = start_monitor("child");
  const auto refused = [&](std::span<const UniqueFd> what) {
    const auto answer = load(child, what);
    EXPECT_NE(answer.body.find("fault_message"), std::string::npos) << answer.body;
    return answer.status == 400;
  };
  const auto file = [&](const std::string& content, bool sealed) {
    UniqueFd made(::memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_TRUE(write_all(made.get(), std::as_bytes(std::span(content))));
    if (sealed) {
      EXPECT_EQ(::fcntl(made.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE), 0);
    }
    return made;
  };
  const auto pair = [](UniqueFd first, UniqueFd second) {
    std::vector<UniqueFd> both;
    both.push_back(std::move(first));
    both.push_back(std::move(second));
    return both;
  };
  const auto state = [&] { return std::move(*descriptors[0].duplicate()); };
  const auto memory = [&] { return std::move(*descriptors[1].duplicate()); };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused(std::span(descriptors).first(1)));
  EXPECT_TRUE(refused(pair(memory(), state())));
  EXPECT_TRUE(refused(pair(state(), state())));
  EXPECT_TRUE(refused(pair(state(), file("short", true))));
  EXPECT_TRUE(refused(pair(state(), file(std::string(64 << 20, 'm'), false)))) << "not sealed";
  EXPECT_TRUE(refused(pair(file("no state", true), memory())));
  EXPECT_TRUE(refused(pair(UniqueFd(::open("/dev/zero", O_RDONLY)), memory())));
  EXPECT_TRUE(refused(pair(state(), UniqueFd(::open("/dev/null", O_RDWR)))));
  // Layers of several forks, mixed up.
  expect_count(parent, 4);
  const auto second = fork(parent);
  expect_count(parent, 5);
  const auto third = fork(parent);
  ASSERT_EQ(third.size(), 4U);
  std::vector<UniqueFd> mixed;
  for (const UniqueFd* fd : {&third[0], &third[1], &third[3], &third[2]}) {
    mixed.push_back(std::move(*fd->duplicate()));
  }
  EXPECT_TRUE(refused(mixed));
  mixed[2] = std::move(*third[1].duplicate());
  mixed[3] = std::move(*third[2].duplicate());
  EXPECT_TRUE(refused(mixed));
  EXPECT_TRUE(refused(pair(std::move(*second[0].duplicate()), memory()))) << "one is missing";
  EXPECT_EQ(child.answer("PUT", "/entropy", "{}", descriptors).status, 400) << "takes none";
  EXPECT_EQ(child.put("/snapshot/load", fmt::format("{{{}}}", kFromDescriptors)), 400);
  EXPECT_EQ(load(child, descriptors, R"(,"snapshot_path":"/s")").status, 400);
  EXPECT_EQ(load(child, descriptors).status, 204);
  expect_count(child, 4);
}

}  // namespace
}  // namespace mote::bare
