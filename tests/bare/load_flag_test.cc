// A snapshot, or a fork, that a command line names: the same as PUT /snapshot/load, with an API or
// without.
#include <fcntl.h>

#include "page_handler.h"
#include "snapshot_rig.h"

namespace mote::bare {
namespace {

class LoadFlag : public SnapshotTest {
 protected:
  static constexpr const char* kResumed = R"(,"resume_vm":true)";
  static constexpr const char* kFromDescriptors =
      R"({"mem_backend":{"backend_type":"Descriptors"},"resume_vm":true)";

  // A guest with two disks of which "s" is a snapshot, three letters on.
  void save() {
    write_file("d0", std::string(4096, 'd'));
    Monitor first = start_monitor("first");
    configure(first, 2, 64);
    EXPECT_EQ(first.put("/drives/d0", drive("d0", path_of("d0"))), 204);
    EXPECT_EQ(first.put("/actions", R"({"action_type":"InstanceStart"})"), 204);
    EXPECT_TRUE(first.process.send("abc"));
    EXPECT_TRUE(first.process.wait_for_output(counted(3)));
    EXPECT_EQ(pause(first), 204);
    EXPECT_EQ(create(first, "s"), 204);
  }
  static VmmProcess started(std::vector<std::string> arguments) {
    auto process = VmmProcess::start({.arguments = std::move(arguments)});
    EXPECT_TRUE(process) << process.error().text();
    return std::move(*process);
  }
  VmmProcess loaded(const std::string& load, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"--no-api", "--log-path", path_of("log"), "--load", load};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return started(std::move(arguments));
  }
  static void expect_count(VmmProcess& process, int count) {
    EXPECT_TRUE(process.send("x"));
    EXPECT_TRUE(process.wait_for_output(counted(count))) << process.output() << process.errors();
  }
  // Ends with 1, and says `why`.
  void expect_refused(const std::string& load, std::string_view why) const {
    VmmProcess process = loaded(load);
    const auto ending = process.finish();
    ASSERT_TRUE(ending);
    EXPECT_EQ(ending->text(), "exit 1") << load;
    EXPECT_NE(process.errors().find(why), std::string::npos) << load << process.errors();
  }
  std::string renamed_disk() const {
    return fmt::format(R"(,"drive_overrides":[{{"drive_id":"d0","path_on_host":"{}"}}])",
                       path_of("d1"));
  }
};

TEST_F(LoadFlag, ASnapshotGoesOnWithoutAnApi) {
  save();
  VmmProcess one = loaded(load_body("s", kResumed));
  VmmProcess other = loaded(write_file("load", load_body("s", kResumed)));
  expect_count(one, 4);
  expect_count(other, 4);
  expect_count(one, 5);
  one.signal(SIGTERM);
  const auto ending = one.finish();
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->text(), "signal 15");
}

TEST_F(LoadFlag, WhatItNamesIsRenamed) {
  save();
  std::filesystem::remove(path_of("d0"));
  expect_refused(load_body("s", kResumed), "d0");
  write_file("d1", std::string(4096, 'd'));
  VmmProcess clone =
      loaded(load_body("s", kResumed + renamed_disk() +
                                fmt::format(R"(,"serial":{{"serial_out_path":"{}"}},)"
                                            R"("logger":{{"log_path":"{}","level":"Info"}})",
                                            path_of("serial"), path_of("other.log"))));
  // Its serial port is in a file, and has no input: nothing more is printed.
  for (int tries = 0; tries < 1000 && !std::filesystem::exists(path_of("serial")); ++tries) {
    ::usleep(10'000);
  }
  EXPECT_TRUE(std::filesystem::exists(path_of("serial")));
  clone.signal(SIGTERM);
  ASSERT_TRUE(clone.finish());
  EXPECT_TRUE(clone.output().empty()) << clone.output();
  EXPECT_TRUE(std::filesystem::exists(path_of("other.log")));
}

TEST_F(LoadFlag, AnApiBesideItKnowsWhatWasLoaded) {
  save();
  write_file("d1", std::string(4096, 'd'));
  const Monitor paused = start_monitor("clone", {"--load", load_body("s", renamed_disk())});
  // The machine thread answers when it has loaded; what the API's own thread answers may be before.
  EXPECT_NE(paused.answer("GET", "/vm/config").body.find(path_of("d1")), std::string::npos);
  EXPECT_NE(paused.answer("GET", "/").body.find(R"("state":"Paused")"), std::string::npos);
  EXPECT_EQ(load(paused, "s"), 400) << "it has a machine";
  Monitor clone = start_monitor("other", {"--load", load_body("s", kResumed)});
  expect_count(clone.process, 4);
  EXPECT_EQ(pause(clone), 204);
  EXPECT_EQ(create(clone, "again"), 204);
}

TEST_F(LoadFlag, WhatCannotBeLoadedEndsTheMonitor) {
  save();
  expect_refused(load_body("s"), "resume_vm");
  expect_refused("{}", "resume_vm");
  expect_refused(R"({"resume_vm":true)", "--load");
  expect_refused(R"({"resume_vm":true,"tap":1})", "tap is not a known field");
  expect_refused(path_of("missing"), "missing");
  expect_refused(write_file("no", "x"), "no");
  expect_refused(R"({"resume_vm":true,"mem_backend":{"backend_type":"Descriptors"}})", "0 desc");
  expect_refused(load_body("none", kResumed), "none");
  expect_refused(
      load_body("s",
                fmt::format(R"({},"drive_overrides":[{{"drive_id":"no","path_on_host":"/x"}}])",
                            kResumed)),
      "no");
  expect_refused(
      load_body("s", fmt::format(R"({},"vsock_override":{{"uds_path":"/x"}})", kResumed)), "vsock");
  VmmProcess closed = loaded(fmt::format("{}}}", kFromDescriptors), {"--load-fd", "99"});
  const auto ending = closed.finish();
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->text(), "exit 153") << closed.errors();
}

TEST_F(LoadFlag, AChildGetsItsParentsDescriptors) {
  Monitor parent = start_counter(1, R"(,"forkable":true)");
  auto answer = parent.answer("PUT", "/fork");
  ASSERT_EQ(answer.status, 200) << answer.body;
  std::vector<std::string> flags;
  for (const UniqueFd& descriptor : answer.descriptors) {
    ASSERT_EQ(::fcntl(descriptor.get(), F_SETFD, 0), 0);
    flags.insert(flags.end(), {"--load-fd", std::to_string(descriptor.get())});
  }
  VmmProcess alone = loaded(fmt::format("{}}}", kFromDescriptors), flags);
  flags.insert(flags.end(), {"--load", fmt::format("{}}}", kFromDescriptors)});
  Monitor served = start_monitor("served", flags);
  expect_count(alone, 4);
  expect_count(served.process, 4);
  expect_count(parent.process, 4);
  // A fork of a fork; and who comes from it does not need it.
  answer = served.answer("PUT", "/fork");
  ASSERT_EQ(answer.status, 200) << answer.body;
  served.process.signal(SIGKILL);
  parent.process.signal(SIGKILL);
  flags.clear();
  for (const UniqueFd& descriptor : answer.descriptors) {
    ASSERT_EQ(::fcntl(descriptor.get(), F_SETFD, 0), 0);
    flags.insert(flags.end(), {"--load-fd", std::to_string(descriptor.get())});
  }
  VmmProcess grandchild = loaded(fmt::format("{}}}", kFromDescriptors), flags);
  expect_count(grandchild, 5);
  expect_count(alone, 5);
  // Descriptors of files are for backend_type Descriptors.
  VmmProcess wrong = loaded(load_body("s", kResumed), flags);
  ASSERT_TRUE(wrong.finish());
  EXPECT_NE(wrong.errors().find("backend_type Descriptors takes them"), std::string::npos)
      << wrong.errors();
}

// Under the filters of a monitor without an API, which opens nothing while it runs.
TEST_F(LoadFlag, OtherSourcesOfMemoryDoToo) {
  save();
  const std::string prefetched = load_body("s", fmt::format(R"({},"prefetch":true)", kResumed));
  VmmProcess noting = loaded(prefetched);
  expect_count(noting, 4);
  ::usleep(3'000'000);  // what it touched first is noted by then, or that it cannot be
  expect_count(noting, 5);
  // Root may find out what was touched.
  EXPECT_EQ(std::filesystem::exists(path_of("s.mem.ws")), ::geteuid() == 0);
  EXPECT_FALSE(std::filesystem::exists(path_of("s.mem.ws.new")));
  VmmProcess again = loaded(prefetched);
  expect_count(again, 4);
  PageHandlerProcess handler(path_of("h.sock"), path_of("s.mem"), Behaviour::kServe);
  VmmProcess brought =
      loaded(fmt::format(R"({{"snapshot_path":"{}","mem_backend":{{"backend_type":"Uffd",)"
                         R"("backend_path":"{}"}},"resume_vm":true}})",
                         path_of("s"), path_of("h.sock")));
  expect_count(brought, 4);
  handler.end();
  const auto ending = brought.finish();
  ASSERT_TRUE(ending) << "a guest whose pages are lost hangs";
  EXPECT_EQ(ending->text(), "exit 1");
}

}  // namespace
}  // namespace mote::bare
