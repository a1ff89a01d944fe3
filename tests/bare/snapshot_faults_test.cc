// Snapshots when something is wrong with the files, the disk, the handler of page faults or the
// monitor itself: one clear error, and nothing lost that was there.
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <random>
#include <thread>

#include "engine/snapshot_files.h"
#include "page_handler.h"
#include "snapshot_rig.h"

namespace mote::bare {
namespace {

class SnapshotFaultsTest : public SnapshotTest {
 protected:
  // A monitor whose guest's pages come from a handler that behaves so ends, and says why.
  void expect_end_by_handler(Behaviour behaviour, std::string_view why) {
    start_saved();
    Monitor second = start_monitor("second");
    const PageHandlerProcess handler(path_of("h.sock"), path_of("s.mem"), behaviour);
    EXPECT_EQ(second.put("/snapshot/load", handler_body("s")), 204);
    const auto ending = second.process.finish();
    ASSERT_TRUE(ending) << "a guest whose pages do not come hangs";
    EXPECT_EQ(ending->text(), "exit 1");
    EXPECT_NE(second.process.errors().find(why), std::string::npos) << second.process.errors();
  }
  // A snapshot "s" of a guest that has counted to 3, and is still there, paused.
  Monitor start_saved(const std::string& machine_fields = {}) {
    Monitor first = start_counter(1, machine_fields);
    EXPECT_EQ(pause(first), 204);
    EXPECT_EQ(create(first, "s"), 204);
    return first;
  }
  void count_on(Monitor& monitor, int to) const {
    EXPECT_EQ(monitor.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
    EXPECT_TRUE(monitor.process.send("x"));
    EXPECT_TRUE(monitor.process.wait_for_output(counted(to))) << monitor.process.output();
    EXPECT_EQ(pause(monitor), 204);
  }
  void copy(const std::string& from, const std::string& to) const {
    std::filesystem::copy_file(path_of(from), path_of(to),
                               std::filesystem::copy_options::overwrite_existing);
  }
  std::string handler_body(const std::string& name) const {
    return fmt::format(R"({{"snapshot_path":"{}","mem_backend":{{"backend_type":"Uffd",)"
                       R"("backend_path":"{}"}},"resume_vm":true}})",
                       path_of(name), path_of("h.sock"));
  }
};

TEST_F(SnapshotFaultsTest, MemoryOfAnotherMomentIsRefused) {
  Monitor first = start_saved();
  count_on(first, 4);
  EXPECT_EQ(create(first, "later"), 204);
  copy("s", "mixed");
  copy("later.mem", "mixed.mem");
  Monitor second = start_monitor("second");
  const auto answer = second.answer("PUT", "/snapshot/load", load_body("mixed"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("it is not the memory of this state"), std::string::npos)
      << answer.body;
  // Another machine's, that was never stamped; and nothing but zeros.
  write_file("mixed.mem", std::string(64 << 20, 'x'));
  EXPECT_EQ(load(second, "mixed"), 400);
  write_file("mixed.mem", "");
  std::filesystem::resize_file(path_of("mixed.mem"), 64 << 20);
  EXPECT_EQ(load(second, "mixed"), 400);
  // A copy of its own is its own, also with something behind its end.
  copy("s.mem", "mixed.mem");
  std::filesystem::resize_file(path_of("mixed.mem"), (64 << 20) + 12345);
  EXPECT_EQ(load(second, "mixed", R"(,"resume_vm":true)"), 204);
  EXPECT_TRUE(second.process.send("d"));
  EXPECT_TRUE(second.process.wait_for_output(counted(4))) << second.process.output();
}

TEST_F(SnapshotFaultsTest, ChangesGoOverNothingButWhatTheyAreChangesOf) {
  Monitor first = start_saved(R"(,"track_dirty_pages":true)");
  copy("s.mem", "base.mem");
  for (const char* name : {"one", "two", "three"}) {
    count_on(first, name[0] == 'o' ? 4 : name[1] == 'w' ? 5 : 6);
    EXPECT_EQ(create(first, name, "Diff"), 204);
  }
  const auto rebase = [&](const std::string& base, const std::string& diff) {
    return engine::rebase_snapshot(path_of(base + ".mem"), path_of(diff + ".mem"));
  };
  const std::string before = content("base.mem");
  const auto refused = rebase("base", "two");
  ASSERT_FALSE(refused) << "the one between is missing";
  EXPECT_NE(refused.error().text().find("the changes are those since snapshot"), std::string::npos);
  EXPECT_TRUE(content("base.mem") == before);
  EXPECT_EQ(create(first, "base", "Diff"), 400) << "the same by a request";
  EXPECT_TRUE(content("base.mem") == before);
  // Changes over changes, and these over what the first were over.
  EXPECT_TRUE(rebase("two", "three"));
  EXPECT_FALSE(rebase("base", "two"));
  EXPECT_TRUE(rebase("one", "two"));
  EXPECT_TRUE(rebase("base", "one"));
  EXPECT_EQ(create(first, "whole"), 204);
  EXPECT_TRUE(content("base.mem") == content("whole.mem"));
  copy("base.mem", "three.mem");
  Monitor second = start_monitor("second");
  EXPECT_EQ(load(second, "three", R"(,"resume_vm":true)"), 204);
  EXPECT_TRUE(second.process.send("d"));
  EXPECT_TRUE(second.process.wait_for_output(counted(7))) << second.process.output();
}

// At load it is refused where it can be known (above); later, whatever is made of it is.
TEST_F(SnapshotFaultsTest, AMemoryFileThatIsChangedUnderAClone) {
  Monitor first = start_saved();
  Monitor clone = start_monitor("clone");
  ASSERT_EQ(load(clone, "s", R"(,"resume_vm":true)"), 204);
  // Another one in its place is no harm.
  EXPECT_EQ(create(first, "s"), 204);
  EXPECT_TRUE(clone.process.send("x"));
  EXPECT_TRUE(clone.process.wait_for_output(counted(4))) << clone.process.output();
  Monitor second = start_monitor("second");
  ASSERT_EQ(load(second, "s", R"(,"resume_vm":true)"), 204);
  // Written to, at a place that the guest has not touched.
  {
    std::fstream file(path_of("s.mem"), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(63 << 20);
    file << "changed";
  }
  const auto refused = [&](const char* path, const std::string& body, const char* why) {
    const auto answer = second.answer("PUT", path, body);
    EXPECT_EQ(answer.status, 400) << path;
    EXPECT_NE(answer.body.find(why), std::string::npos) << answer.body;
  };
  const std::string body =
      fmt::format(R"({{"snapshot_path":"{0}","mem_file_path":"{0}.mem"}})", path_of("later"));
  refused("/fork", "", "was written to since it was loaded");
  EXPECT_EQ(pause(second), 204);
  refused("/snapshot/create", body, "was written to since it was loaded");
  std::filesystem::resize_file(path_of("s.mem"), 0);
  refused("/snapshot/create", body, "was cut from 67108864 to 0 bytes");
  EXPECT_FALSE(std::filesystem::exists(path_of("later")));
  EXPECT_EQ(second.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
  static_cast<void>(second.process.send("x"));
  const auto ending = second.process.finish();
  ASSERT_TRUE(ending) << "a guest without its memory hangs";
  EXPECT_TRUE(ending->text() == "exit 1" || ending->text() == "exit 149") << ending->text();
  EXPECT_NE(log_of(second).find(ending->text() == "exit 1" ? "was cut from" : "cannot be had"),
            std::string::npos)
      << log_of(second);
  // It had another file.
  EXPECT_TRUE(clone.process.send("y"));
  EXPECT_TRUE(clone.process.wait_for_output(counted(5))) << clone.process.output();
}

TEST_F(SnapshotFaultsTest, AFullDiskLeavesWhatWasThere) {
  const std::string disk = path_of("small");
  std::filesystem::create_directory(disk);
  if (::mount("small", disk.c_str(), "tmpfs", 0, "size=16k") < 0) {
    GTEST_SKIP() << "a file system of its own takes root";
  }
  const Monitor first = start_saved();
  const auto answer = first.answer("PUT", "/snapshot/create",
                                   fmt::format(R"({{"snapshot_path":"{}","mem_file_path":"{}"}})",
                                               path_of("s"), disk + "/s.mem"));
  const auto full_state =
      first.answer("PUT", "/snapshot/create",
                   fmt::format(R"({{"snapshot_path":"{0}/s","mem_file_path":"{0}/m"}})", disk));
  const bool empty = std::filesystem::is_empty(disk);
  EXPECT_EQ(::umount2(disk.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("mem_file_path"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find("No space left"), std::string::npos) << answer.body;
  EXPECT_EQ(full_state.status, 400);
  EXPECT_TRUE(empty);
  const Monitor second = start_monitor("second");
  EXPECT_EQ(load(second, "s"), 204) << "what was there is there";
}

TEST_F(SnapshotFaultsTest, AHandlerOfPageFaultsThatIsNone) {
  start_saved();
  for (const Behaviour behaviour : {Behaviour::kWrongPages, Behaviour::kGarbage}) {
    Monitor second = start_monitor("second");
    const PageHandlerProcess handler(path_of("h.sock"), path_of("s.mem"), behaviour);
    const auto answer = second.answer("PUT", "/snapshot/load", handler_body("s"));
    if (behaviour == Behaviour::kWrongPages) {
      EXPECT_EQ(answer.status, 400);
      EXPECT_NE(answer.body.find("it is not the memory of this state"), std::string::npos)
          << answer.body;
      continue;
    }
    EXPECT_EQ(answer.status, 204) << answer.body;
    EXPECT_TRUE(second.process.send("d"));
    EXPECT_TRUE(second.process.wait_for_output(counted(4))) << second.process.output();
  }
}

TEST_F(SnapshotFaultsTest, AHandlerThatReadsNoMoreEndsTheMonitor) {
  expect_end_by_handler(Behaviour::kNoMore, "has read no fault for 10 seconds");
}

TEST_F(SnapshotFaultsTest, AHandlerThatAnswersNoMoreEndsTheMonitor) {
  expect_end_by_handler(Behaviour::kNoAnswers, "has answered no fault for 30 seconds");
}

TEST_F(SnapshotFaultsTest, ChangesAloneAreNotLoaded) {
  Monitor first = start_saved(R"(,"track_dirty_pages":true)");
  copy("s.mem", "base.mem");
  for (const char* name : {"one", "two"}) {
    count_on(first, name[0] == 'o' ? 4 : 5);
    EXPECT_EQ(create(first, name, "Diff"), 204);
  }
  Monitor second = start_monitor("second");
  const auto answer = second.answer("PUT", "/snapshot/load", load_body("one"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("it has changes alone"), std::string::npos) << answer.body;
  // Changes over changes are no more than these.
  ASSERT_TRUE(engine::rebase_snapshot(path_of("one.mem"), path_of("two.mem")));
  copy("two", "one");
  EXPECT_EQ(load(second, "one"), 400);
  ASSERT_TRUE(engine::rebase_snapshot(path_of("base.mem"), path_of("one.mem")));
  copy("base.mem", "one.mem");
  EXPECT_EQ(load(second, "one", R"(,"resume_vm":true)"), 204);
  EXPECT_TRUE(second.process.send("x"));
  EXPECT_TRUE(second.process.wait_for_output(counted(6))) << second.process.output();
}

TEST_F(SnapshotFaultsTest, ASignalEndsAMonitorThatWaitsForAPage) {
  start_saved();
  Monitor second = start_monitor("second");
  const PageHandlerProcess handler(path_of("h.sock"), path_of("s.mem"), Behaviour::kStaySilent);
  const auto began = std::chrono::steady_clock::now();
  std::thread client([&] { EXPECT_EQ(second.put("/snapshot/load", handler_body("s")), 400); });
  ::usleep(300'000);
  EXPECT_EQ(::kill(second.process.pid(), SIGTERM), 0);
  client.join();
  const auto ending = second.process.finish();
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->text(), "signal 15");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(8));
}

TEST_F(SnapshotFaultsTest, ChangesGoOverMemoryThatWasNotInPlaceYet) {
  Monitor first = start_saved(R"(,"track_dirty_pages":true)");
  // Whoever saved ended between its two renames.
  std::filesystem::rename(path_of("s.mem"), path_of("s.mem.whole"));
  count_on(first, 4);
  ASSERT_EQ(create(first, "s", "Diff"), 204);
  Monitor second = start_monitor("second");
  ASSERT_EQ(load(second, "s", R"(,"resume_vm":true)"), 204);
  EXPECT_TRUE(second.process.send("x"));
  EXPECT_TRUE(second.process.wait_for_output(counted(5))) << second.process.output();
}

// A copy of memory that somebody did not get to the end of has the stamp of what it is a copy of.
TEST_F(SnapshotFaultsTest, WhatIsInPlaceGivesWayToNothingThatIsHalf) {
  const Monitor first = start_saved(R"(,"track_dirty_pages":true)");
  const std::string whole = content("s.mem");
  const std::string half = whole.substr(0, 1 << 20) + std::string(whole.size() - (1 << 20), '\0');
  for (const char* left : {"s.mem.new", "s.mem.whole"}) {
    SCOPED_TRACE(left);
    write_file(left, half);
    {
      const Monitor second = start_monitor("second");
      ASSERT_EQ(load(second, "s"), 204);
      // It looks at what was left, and gets no further.
      std::filesystem::create_directory(path_of("s.new"));
      EXPECT_EQ(create(second, "s"), 400);
      std::filesystem::remove(path_of("s.new"));
    }
    EXPECT_TRUE(content("s.mem") == whole);
    std::filesystem::remove(path_of(left));
  }
  // Alone it is no memory of that state's.
  std::filesystem::remove(path_of("s.mem"));
  write_file("s.mem.new", half);
  const Monitor third = start_monitor("third");
  EXPECT_EQ(load(third, "s"), 400);
}

// $MOTE_SNAPSHOT_KILLS times (500 on request), at a random moment; either snapshot is there whole.
TEST_F(SnapshotFaultsTest, AMonitorKilledWhileItSavesLosesNothing) {
  start_saved();
  std::mt19937 random(static_cast<unsigned>(::getpid()));
  const int rounds = count_of("MOTE_SNAPSHOT_KILLS", 12);
  int count = 3;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(round);
    {
      Monitor monitor = start_monitor("killed");
      ASSERT_EQ(load(monitor, "s", R"(,"track_dirty_pages":true)"), 204);
      EXPECT_EQ(monitor.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
      EXPECT_TRUE(monitor.process.send("x"));
      ASSERT_TRUE(monitor.process.wait_for_output(counted(count + 1)))
          << count << monitor.process.output();
      EXPECT_EQ(pause(monitor), 204);
      std::thread client([&] {
        // Whether it is answered depends on the moment.
        static_cast<void>(
            engine::ask({.socket = monitor.socket,
                         .method = "PUT",
                         .path = "/snapshot/create",
                         .body = fmt::format(R"({{"snapshot_path":"{0}","mem_file_path":"{0}.mem",)"
                                             R"("snapshot_type":"{1}"}})",
                                             path_of("s"), round % 2 == 0 ? "Full" : "Diff")}));
      });
      ::usleep(static_cast<useconds_t>(random() % 20'000));
      EXPECT_EQ(::kill(monitor.process.pid(), SIGKILL), 0);
      client.join();
    }
    Monitor next = start_monitor("next");
    const auto answer =
        next.answer("PUT", "/snapshot/load", load_body("s", R"(,"resume_vm":true)"));
    ASSERT_EQ(answer.status, 204) << answer.body;
    EXPECT_TRUE(next.process.send("y"));
    // One further than either moment.
    ASSERT_TRUE(next.process.wait_for_output("\n"));
    if (next.process.output().find(counted(count + 2)) != std::string::npos)
      ++count;
    else
      ASSERT_NE(next.process.output().find(counted(count + 1)), std::string::npos)
          << next.process.output();
  }
}

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

std::string children() {
  std::ifstream file(fmt::format("/proc/self/task/{}/children", ::getpid()));
  return {std::istreambuf_iterator<char>(file), {}};
}

// What the host's kernel has taken for itself, in KiB, apart from what it can do without.
std::int64_t kernel_memory() {
  std::ifstream file("/proc/meminfo");
  std::int64_t sum = 0;
  for (std::string name, unit; file >> name; std::getline(file, unit)) {
    std::int64_t amount = 0;
    file >> amount;
    if (name == "SUnreclaim:" || name == "KernelStack:" || name == "PageTables:" ||
        name == "Percpu:" || name == "VmallocUsed:" || name == "Shmem:") {
      sum += amount;
    }
  }
  return sum;
}

// $MOTE_SNAPSHOT_LOADS times (10,000 on request).
TEST_F(SnapshotFaultsTest, LoadsLeaveNothingBehind) {
  const Monitor first = start_saved();
  const auto files = scratch_names();
  const auto descriptors = open_descriptors();
  const auto processes = children();
  const auto memory = kernel_memory();
  const int rounds = count_of("MOTE_SNAPSHOT_LOADS", 20);
  for (int round = 0; round < rounds; ++round) {
    Monitor clone = start_monitor("clone");
    ASSERT_EQ(load(clone, "s", R"(,"resume_vm":true)"), 204) << round;
    EXPECT_EQ(::kill(clone.process.pid(), SIGKILL), 0);
    EXPECT_TRUE(clone.process.finish());
  }
  std::filesystem::remove(path_of("clone.sock"));
  std::filesystem::remove(path_of("clone.log"));
  EXPECT_EQ(scratch_names(), files);
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(children(), processes);
  // A page a load would show among all that the host has to do besides.
  constexpr std::int64_t kNoise = 96 << 10;
  const auto more = [&] { return kernel_memory() - memory; };
  for (int tries = 0; tries < 100 && more() > kNoise; ++tries) ::usleep(100'000);
  RecordProperty("more_kernel_memory_kib", std::to_string(more()));
  EXPECT_LT(more(), kNoise + 2 * rounds) << "KiB more than before";
}

}  // namespace
}  // namespace mote::bare
