#include "isolation/jail/cleanup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "isolation/jail/directory.h"
#include "temp_dir.h"

namespace mote::isolation::jail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Cleanup : public testing::Test {
 protected:
  std::string clean(std::optional<std::string> exec_name = {}) {
    const auto done = clean_up(
        {.id = "vm", .base = dir_.path(), .exec_name = std::move(exec_name), .parent_cgroup = {}});
    return done ? "no error" : done.error().text();
  }

  test::TempDir dir_;
};

TEST_F(Cleanup, RemovesTheJailAndNothingElse) {
  fs::create_directories(dir_ / "fc/vm/root/dev/net");
  fs::create_directories(dir_ / "fc/vm2/root");
  fs::create_directories(dir_ / "outside");
  dir_.write("outside/file", "x");
  dir_.write("fc/vm/root/fc", "x");
  ASSERT_EQ(::mkfifo((dir_ / "fc/vm/root/fifo").c_str(), 0), 0);
  fs::create_symlink(dir_ / "outside", dir_ / "fc/vm/root/link");
  EXPECT_EQ(clean(), "no error");
  EXPECT_FALSE(fs::exists(dir_ / "fc/vm"));
  EXPECT_TRUE(fs::exists(dir_ / "fc/vm2/root"));
  EXPECT_EQ(dir_.read("outside/file"), "x");
}

TEST_F(Cleanup, SaysWhatIsNotThereOrNotPlain) {
  EXPECT_THAT(clean(), HasSubstr("has no jail 'vm'"));
  fs::create_directories(dir_ / "a/vm/root");
  fs::create_directories(dir_ / "b/vm/root");
  dir_.write("c", "no directory");
  EXPECT_THAT(clean(), HasSubstr("say which with --exec-file"));
  EXPECT_THAT(clean("c"), HasSubstr("has no jail 'vm'"));
  EXPECT_EQ(clean("b"), "no error");
  EXPECT_TRUE(fs::exists(dir_ / "a/vm"));
  EXPECT_EQ(clean(), "no error");
  EXPECT_FALSE(fs::exists(dir_ / "a/vm"));
}

TEST_F(Cleanup, FollowsNoLink) {
  fs::create_directories(dir_ / "outside/vm/root");
  fs::create_symlink("outside", dir_ / "fc");
  EXPECT_THAT(clean("fc"), HasSubstr("has no jail 'vm'"));
  EXPECT_TRUE(fs::exists(dir_ / "outside/vm/root"));
}

TEST_F(Cleanup, LeavesAJailThatIsBeingMade) {
  fs::create_directories(dir_ / "fc/vm/root");
  auto held = open_base(dir_ / "fc/vm");
  ASSERT_TRUE(held);
  ASSERT_EQ(::flock(held->get(), LOCK_EX), 0);
  EXPECT_THAT(clean(), HasSubstr("being made or removed"));
  held->reset();
  EXPECT_EQ(clean(), "no error");
}

// What a hostile monitor could leave: deeper than any path is long, closed directories, and names
// like those that things are moved to.
TEST_F(Cleanup, RemovesWhatIsMadeToStay) {
  fs::create_directories(dir_ / "fc/vm/root/removed-0/x/y");
  fs::create_directories(dir_ / "fc/vm/removed-1/x");
  auto at = open_base(dir_ / "fc/vm/root");
  ASSERT_TRUE(at);
  const std::string name(200, 'd');
  for (int depth = 0; depth < 500; ++depth) {
    ASSERT_EQ(::mkdirat(at->get(), name.c_str(), 0700), 0);
    at = open_below(*at, name, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(at);
  }
  for (int i = 0; i < 5000; ++i) {
    const UniqueFd file(::openat(at->get(), fmt::format("{}", i).c_str(), O_CREAT | O_CLOEXEC, 0));
    ASSERT_TRUE(file);
  }
  at->reset();
  EXPECT_EQ(clean(), "no error");
  EXPECT_FALSE(fs::exists(dir_ / "fc/vm"));
}

}  // namespace
}  // namespace mote::isolation::jail
