// Shells: what is loaded into one goes on as it does elsewhere, whatever was expected.
#include <fcntl.h>
#include <signal.h>

#include "served_test.h"

namespace mote::bare {
namespace {

class ShellTest : public ServedTest {
 protected:
  // A snapshot of a guest with `vcpus` and 64 MiB that has counted to 3.
  std::string snapshot(unsigned vcpus) {
    const Monitor first = start_counter(vcpus, R"(,"forkable":true)");
    EXPECT_EQ(pause(first), 204);
    const std::string files =
        fmt::format(R"("snapshot_path":"{}","mem_file_path":"{}")", path_of("s"), path_of("m"));
    EXPECT_EQ(first.put("/snapshot/create", fmt::format("{{{}}}", files)), 204);
    return fmt::format(R"({{{},"resume_vm":true}})", files);
  }
  Monitor start_shell(const std::string& name, const std::string& vcpus, const std::string& mib) {
    Monitor shell =
        start_monitor(name, {"--shell", "--shell-vcpu-count", vcpus, "--shell-mem-size-mib", mib});
    // Answered once the shell is whole.
    EXPECT_EQ(shell.answer("GET", "/machine-config").status, 200);
    return shell;
  }
  static void expect_count(Monitor& monitor, int count) {
    EXPECT_TRUE(monitor.process.send("x"));
    EXPECT_TRUE(monitor.process.wait_for_output(counted(count))) << monitor.process.output();
  }
};

TEST_F(ShellTest, TakesWhatWasExpectedAndWhatWasNot) {
  for (const unsigned vcpus : {1U, 2U}) {
    const std::string load = snapshot(vcpus);
    for (const auto& [expected_vcpus, expected_mib] :
         {std::pair{"1", "64"}, std::pair{"2", "64"}, std::pair{"1", "8192"},
          std::pair{"3", "1"}}) {
      SCOPED_TRACE(fmt::format("{} of {} {}", vcpus, expected_vcpus, expected_mib));
      Monitor shell = start_shell("shell", expected_vcpus, expected_mib);
      const auto loaded = shell.answer("PUT", "/snapshot/load", load);
      EXPECT_EQ(loaded.status, 204) << loaded.body;
      expect_count(shell, 4);
      // And it can be forked, as any other that was loaded.
      const auto forked = shell.answer("PUT", "/fork");
      EXPECT_EQ(forked.status, 200) << forked.body;
      Monitor child = start_shell("child", expected_vcpus, expected_mib);
      EXPECT_EQ(child
                    .answer("PUT", "/snapshot/load",
                            R"({"mem_backend":{"backend_type":"Descriptors"},"resume_vm":true})",
                            forked.descriptors)
                    .status,
                204);
      expect_count(child, 5);
      expect_count(shell, 5);
    }
  }
}

TEST_F(ShellTest, TracksPagesWhereTheLoadAsksForIt) {
  std::string load = snapshot(1);
  load.insert(load.size() - 1, R"(,"track_dirty_pages":true)");
  Monitor shell = start_shell("shell", "1", "64");
  EXPECT_EQ(shell.put("/snapshot/load", load), 204);
  expect_count(shell, 4);
  EXPECT_EQ(pause(shell), 204);
  EXPECT_EQ(
      shell.put("/snapshot/create", fmt::format(R"({{"snapshot_path":"{}","mem_file_path":"{}",)"
                                                R"("snapshot_type":"Diff"}})",
                                                path_of("s2"), path_of("m"))),
      204);
  Monitor again = start_monitor("again");
  EXPECT_EQ(
      again.put("/snapshot/load", fmt::format(R"({{"snapshot_path":"{}","mem_file_path":"{}",)"
                                              R"("resume_vm":true}})",
                                              path_of("s2"), path_of("m"))),
      204);
  expect_count(again, 5);
}

TEST_F(ShellTest, ARefusedLoadIsFollowedByAnother) {
  const std::string load = snapshot(1);
  Monitor shell = start_shell("shell", "1", "64");
  EXPECT_EQ(shell.put("/snapshot/load", R"({"snapshot_path":"/no","mem_file_path":"/no"})"), 400);
  EXPECT_EQ(shell.put("/snapshot/load",
                      fmt::format(R"({{"snapshot_path":"{}","mem_file_path":"/dev/null"}})",
                                  path_of("s"))),
            400);
  EXPECT_EQ(shell.put("/snapshot/load", load), 204);
  expect_count(shell, 4);
}

TEST_F(ShellTest, AStartInItIsAMachineOfItsOwn) {
  Monitor shell = start_shell("shell", "1", "64");
  configure(shell, 2, 64);
  EXPECT_EQ(shell.put("/actions", R"({"action_type":"InstanceStart"})"), 204);
  expect_count(shell, 1);
}

TEST_F(ShellTest, EndsWithoutALoad) {
  Monitor shell = start_shell("shell", "2", "64");
  shell.process.signal(SIGTERM);
  const auto ending = shell.process.finish();
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->signal, SIGTERM) << ending->text();
}

}  // namespace
}  // namespace mote::bare
