// The files of a jail, made in a directory of the test's; devices only where the test is root's.
#include "isolation/jail/tree.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "isolation/jail/file_copy.h"
#include "temp_dir.h"

namespace mote::isolation::jail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class TreeTest : public testing::Test {
 protected:
  TreeTest() : mask_(::umask(0)) {
    fs::create_directories(dir_ / "srv");
    request_.id = "vm";
    request_.base = dir_ / "srv";
    request_.uid = 1234;
    request_.gid = 5678;
    // As an unprivileged user has it: files to mount the host's devices on.
    request_.user_ns = ::geteuid() != 0;
    monitor_.name = "monitor";
    auto fd = open_file(dir_.write("monitor", "the program"), O_RDONLY);
    monitor_.fd = std::move(*fd);
    ::fstat(monitor_.fd.get(), &monitor_.status);
    monitor_.status.st_mode = S_IFREG | 0755;
  }
  ~TreeTest() override { ::umask(mask_); }

  Result<Tree> make_tree(mode_t mask, Undo& undo) {
    MOTE_TRY(Tree tree, begin_tree(request_, monitor_, mask, undo));
    MOTE_CHECK(fill_tree(tree, request_, monitor_, mask, undo));
    return tree;
  }
  // Gives the monitor its content, where it has none yet.
  Result<void> copied(Tree& tree) {
    if (!tree.binary) return {};
    Copier copier;
    copier.begin(std::move(monitor_.fd), std::move(tree.binary),
                 static_cast<std::uint64_t>(monitor_.status.st_size));
    return copier.finish();
  }
  std::string error_of(mode_t mask = 022) {
    Undo undo;
    const auto tree = make_tree(mask, undo);
    return tree ? "no error" : tree.error().text();
  }
  mode_t mode_of(const std::string& name) {
    struct stat status{};
    EXPECT_EQ(::lstat((dir_ / name).c_str(), &status), 0) << name;
    return status.st_mode & 07777U;
  }

  test::TempDir dir_;
  mode_t mask_;
  Request request_;
  ExecFile monitor_{};
};

TEST_F(TreeTest, HasTheMonitorAndItsPlaces) {
  {
    Undo undo;
    auto tree = make_tree(022, undo);
    ASSERT_TRUE(tree) << tree.error().text();
    ASSERT_TRUE(copied(*tree));
    EXPECT_EQ(dir_.read("srv/monitor/vm/root/monitor"), "the program");
    EXPECT_EQ(mode_of("srv/monitor"), 0755U);
    EXPECT_EQ(mode_of("srv/monitor/vm"), 0755U);
    EXPECT_EQ(mode_of("srv/monitor/vm/root"), 0700U);
    EXPECT_EQ(mode_of("srv/monitor/vm/root/dev/net"), 0700U);
    EXPECT_EQ(mode_of("srv/monitor/vm/root/monitor"), 0755U);
    EXPECT_EQ(mode_of("srv/monitor/vm/root/monitor.pid"), 0644U);
    EXPECT_TRUE(fs::exists(dir_ / "srv/monitor/vm/root/dev/kvm"));
    EXPECT_TRUE(fs::exists(dir_ / "srv/monitor/vm/root/dev/net/tun"));
    EXPECT_EQ(error_of(),
              "the jail 'vm' is being made or removed by someone else: Resource "
              "temporarily unavailable (EAGAIN)");
  }
  EXPECT_FALSE(fs::exists(dir_ / "srv/monitor")) << "undone";
}

TEST_F(TreeTest, SaysWhenTheMonitorCannotBeCopied) {
  monitor_.status.st_size += 1;
  Undo undo;
  auto tree = make_tree(022, undo);
  ASSERT_TRUE(tree);
  if (!tree->binary) GTEST_SKIP() << "the filesystem shares blocks, so nothing is copied";
  const auto done = copied(*tree);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().text(), "the file shrank while it was copied");
}

TEST_F(TreeTest, IsClosedToOthersWhateverTheUmask) {
  EXPECT_THAT(error_of(0777), HasSubstr("its owner may not execute"));
  for (const mode_t mask : {mode_t{0}, mode_t{077}}) {
    Undo one;
    ASSERT_TRUE(make_tree(mask, one));
    EXPECT_EQ(mode_of("srv/monitor/vm"), 0777U & ~mask);
    EXPECT_EQ(mode_of("srv/monitor/vm/root/monitor"), 0755U & ~mask);
    EXPECT_EQ(mode_of("srv/monitor/vm/root/monitor.pid"), 0666U & ~mask);
    EXPECT_EQ(mode_of("srv/monitor/vm/root"), 0700U);
    EXPECT_EQ(mode_of("srv/monitor/vm/root/dev"), 0700U);
  }
}

TEST_F(TreeTest, LeavesAnEarlierJailAsItIs) {
  fs::create_directories(dir_ / "srv/monitor/vm/root/dev");
  ::chmod((dir_ / "srv/monitor/vm/root").c_str(), 0750);
  dir_.write("srv/monitor/vm/root/disk", "mine");
  for (const char* const name : {"monitor", "monitor.pid", "dev/kvm", "dev/urandom"}) {
    dir_.write(std::string("srv/monitor/vm/root/") + name, "old");
    EXPECT_THAT(error_of(), HasSubstr("in the jail already; --cleanup")) << name;
    EXPECT_EQ(dir_.read(std::string("srv/monitor/vm/root/") + name), "old");
    fs::remove(dir_ / (std::string("srv/monitor/vm/root/") + name));
    EXPECT_EQ(mode_of("srv/monitor/vm/root"), 0750U);
    EXPECT_FALSE(fs::exists(dir_ / "srv/monitor/vm/root/run"));
  }
  EXPECT_EQ(error_of(), "no error") << "an empty one, and what its user put there, is fine";
  EXPECT_EQ(dir_.read("srv/monitor/vm/root/disk"), "mine");
}

TEST_F(TreeTest, HasNoLinksInIt) {
  fs::create_directories(dir_ / "outside");
  for (const char* const name :
       {"srv/monitor", "srv/monitor/vm", "srv/monitor/vm/root", "srv/monitor/vm/root/dev",
        "srv/monitor/vm/root/dev/net", "srv/monitor/vm/root/run"}) {
    fs::create_directory_symlink(dir_ / "outside", dir_ / name);
    EXPECT_THAT(error_of(), HasSubstr("symbolic link")) << name;
    fs::remove(dir_ / name);
    fs::create_directory(dir_ / name);
  }
  for (const char* const name : {"monitor", "monitor.pid", "dev/kvm"}) {
    fs::create_symlink(dir_ / "outside/file", dir_ / (std::string("srv/monitor/vm/root/") + name));
    EXPECT_THAT(error_of(), HasSubstr("in the jail already")) << name;
    fs::remove(dir_ / (std::string("srv/monitor/vm/root/") + name));
  }
  EXPECT_TRUE(fs::is_empty(dir_ / "outside"));
  EXPECT_EQ(error_of(), "no error");
}

TEST_F(TreeTest, NeedsABaseThatIsADirectory) {
  for (const char* const name : {"none", "monitor"}) {
    request_.base = dir_ / name;
    EXPECT_THAT(error_of(), HasSubstr("open the directory")) << name;
  }
  fs::create_directory_symlink("srv", dir_ / "link");
  request_.base = dir_ / "link";
  EXPECT_EQ(error_of(), "no error");
}

TEST_F(TreeTest, CollidesWithNoName) {
  for (const char* const name : {"dev", "run"}) {
    monitor_.name = name;
    EXPECT_NE(error_of(), "no error");
    EXPECT_TRUE(fs::is_empty(dir_ / "srv"));
  }
}

TEST_F(TreeTest, IsHandedOver) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root, so nothing can be given away";
  Undo undo;
  const auto tree = make_tree(022, undo);
  ASSERT_TRUE(tree);
  ASSERT_TRUE(hand_over(*tree, request_));
  for (const char* const name : {"", "/monitor", "/dev", "/dev/kvm", "/dev/net/tun", "/run"}) {
    struct stat status{};
    ASSERT_EQ(::lstat((dir_ / ("srv/monitor/vm/root" + std::string(name))).c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 1234U) << name;
    EXPECT_EQ(status.st_gid, 5678U) << name;
    if (S_ISCHR(status.st_mode)) EXPECT_EQ(status.st_mode & 07777U, 0600U) << name;
  }
}

TEST_F(TreeTest, ThatSharesTheMonitorHasAPlaceForIt) {
  request_.share_exec = true;
  Undo undo;
  ASSERT_TRUE(make_tree(022, undo));
  EXPECT_EQ(fs::file_size(dir_ / "srv/monitor/vm/root/monitor"), 0U);
  EXPECT_EQ(mode_of("srv/monitor/vm/root/monitor"), 0U);
}

}  // namespace
}  // namespace mote::isolation::jail
