#include "isolation/landlock/landlock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>

#include "temp_dir.h"

namespace mote::isolation {
namespace {

using testing::HasSubstr;

// 0, or why the file cannot be opened.
int open_errno(const std::string& path, int flags) {
  const UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  return fd ? 0 : errno;
}

class LandlockTest : public testing::Test {
 protected:
  void SetUp() override {
    if (landlock_abi() == 0) GTEST_SKIP() << "this kernel has no landlock";
    std::ofstream(dir_ / "file") << "text";
    ::mkdir((dir_ / "below").c_str(), 0755);
  }

  // A thread of its own, as what it enters cannot be left.
  template <typename F>
  static void inside(const Landlock& landlock, F&& what) {
    std::thread([&] {
      const auto entered = landlock.enter();
      ASSERT_TRUE(entered) << entered.error().text();
      what();
    }).join();
  }

  test::TempDir dir_;
};

TEST_F(LandlockTest, WithoutRulesNothingIsReachedByName) {
  auto landlock = Landlock::create();
  ASSERT_TRUE(landlock) << landlock.error().text();
  EXPECT_EQ(landlock->abi(), landlock_abi());
  const UniqueFd before(::open((dir_ / "file").c_str(), O_RDWR | O_CLOEXEC));
  inside(*landlock, [&] {
    EXPECT_EQ(open_errno(dir_ / "file", O_RDONLY), EACCES);
    EXPECT_EQ(open_errno(dir_ / "file", O_WRONLY), EACCES);
    EXPECT_EQ(open_errno(dir_ / "new", O_WRONLY | O_CREAT), EACCES);
    EXPECT_EQ(open_errno("/", O_RDONLY | O_DIRECTORY), EACCES);
    EXPECT_EQ(open_errno("/etc/passwd", O_RDONLY), EACCES);
    EXPECT_EQ(open_errno(dir_ / "below/../file", O_RDONLY), EACCES);
    EXPECT_EQ(open_errno("/proc/self/fd/" + std::to_string(before.get()), O_RDONLY), EACCES);
    EXPECT_NE(::unlink((dir_ / "file").c_str()), 0);
    EXPECT_NE(::mkdir((dir_ / "more").c_str(), 0755), 0);
    EXPECT_NE(::symlink("/etc", (dir_ / "link").c_str()), 0);
    EXPECT_NE(::rename((dir_ / "file").c_str(), (dir_ / "below/file").c_str()), 0);
    EXPECT_NE(::mknod((dir_ / "fifo").c_str(), S_IFIFO | 0644, 0), 0);
    // What is open stays so.
    char byte = 0;
    EXPECT_EQ(::read(before.get(), &byte, 1), 1);
    EXPECT_EQ(::write(before.get(), "x", 1), 1);
  });
  // Whoever did not enter is as before.
  EXPECT_EQ(open_errno(dir_ / "file", O_RDONLY), 0);
}

TEST_F(LandlockTest, ThreadsMadeInsideAreInside) {
  auto landlock = Landlock::create();
  ASSERT_TRUE(landlock);
  inside(*landlock, [&] {
    std::thread([&] { EXPECT_EQ(open_errno(dir_ / "file", O_RDONLY), EACCES); }).join();
  });
}

TEST_F(LandlockTest, AFileThatIsAllowedAndNothingBesideIt) {
  std::ofstream(dir_ / "other") << "text";
  auto landlock = Landlock::create();
  ASSERT_TRUE(landlock);
  ASSERT_TRUE(landlock->allow(dir_ / "file"));
  inside(*landlock, [&] {
    EXPECT_EQ(open_errno(dir_ / "file", O_RDWR), 0);
    if (landlock_abi() >= 3) EXPECT_EQ(open_errno(dir_ / "file", O_WRONLY | O_TRUNC), 0);
    EXPECT_EQ(open_errno(dir_ / "other", O_RDONLY), EACCES);
    EXPECT_NE(::unlink((dir_ / "file").c_str()), 0);
  });
}

TEST_F(LandlockTest, BelowADirectoryFilesAreMadeButNoDevicesAndNoPrograms) {
  ::symlink("/etc/passwd", (dir_ / "below/out").c_str());
  auto landlock = Landlock::create();
  ASSERT_TRUE(landlock);
  ASSERT_TRUE(landlock->allow(dir_ / "below"));
  inside(*landlock, [&] {
    EXPECT_EQ(open_errno(dir_ / "below/new", O_WRONLY | O_CREAT), 0);
    EXPECT_EQ(::unlink((dir_ / "below/new").c_str()), 0);
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strncpy(address.sun_path, (dir_ / "below/s").c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_NE(::mknod((dir_ / "below/null").c_str(), S_IFCHR | 0666, 0x103), 0);
    // Neither a link nor `..` leads out.
    EXPECT_EQ(open_errno(dir_ / "below/out", O_RDONLY), EACCES);
    EXPECT_EQ(open_errno(dir_ / "below/../file", O_RDONLY), EACCES);
    EXPECT_NE(::link((dir_ / "file").c_str(), (dir_ / "below/file").c_str()), 0);
  });
}

TEST_F(LandlockTest, FilesOfADirectoryCanBeRemovedAndNotRead) {
  auto landlock = Landlock::create();
  ASSERT_TRUE(landlock);
  ASSERT_TRUE(landlock->allow(dir_ / "", Reach::kUnlink));
  inside(*landlock, [&] {
    EXPECT_EQ(open_errno(dir_ / "file", O_RDONLY), EACCES);
    EXPECT_EQ(::unlink((dir_ / "file").c_str()), 0);
    EXPECT_NE(::rmdir((dir_ / "below").c_str()), 0);
  });
}

// What the newer versions know, held to `landlock`.
void expect_only_files_and_sockets_with_paths(const auto& inside) {
  const int child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const UniqueFd abstract(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // Of the kernel's choice, as tests run side by side.
  sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
  socklen_t length = sizeof name;
  ASSERT_EQ(::bind(abstract.get(), reinterpret_cast<sockaddr*>(&name), sizeof name.sun_family), 0);
  ASSERT_EQ(::getsockname(abstract.get(), reinterpret_cast<sockaddr*>(&name), &length), 0);
  ASSERT_EQ(::listen(abstract.get(), 1), 0);
  inside([&] {
    if (landlock_abi() >= 4) {
      const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in loopback{.sin_family = AF_INET,
                           .sin_port = htons(1),
                           .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
                           .sin_zero = {}};
      EXPECT_NE(::connect(socket.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof loopback),
                0);
      EXPECT_EQ(errno, EACCES);
      EXPECT_NE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof loopback), 0);
      EXPECT_EQ(errno, EACCES);
    }
    if (landlock_abi() >= 6) {
      EXPECT_NE(::kill(child, SIGTERM), 0);
      EXPECT_EQ(errno, EPERM);
      const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      EXPECT_NE(::connect(socket.get(), reinterpret_cast<sockaddr*>(&name), length), 0);
      EXPECT_EQ(errno, EPERM);
    }
  });
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_F(LandlockTest, WhatNewerVersionsKnow) {
  auto landlock = Landlock::create();
  ASSERT_TRUE(landlock);
  expect_only_files_and_sockets_with_paths([&](auto what) { inside(*landlock, what); });
}

TEST_F(LandlockTest, FilesCanBeLeftAsTheyAre) {
  if (landlock_abi() < 4) {
    EXPECT_FALSE(Landlock::create_without_files(landlock_abi()));
    return;
  }
  auto landlock = Landlock::create_without_files(landlock_abi());
  ASSERT_TRUE(landlock) << landlock.error().text();
  expect_only_files_and_sockets_with_paths([&](auto what) { inside(*landlock, what); });
  inside(*landlock, [&] { EXPECT_EQ(open_errno(dir_ / "file", O_RDWR), 0); });
  for (int abi = 4; abi <= landlock_abi(); ++abi) {
    EXPECT_TRUE(Landlock::create_without_files(abi)) << abi;
  }
  EXPECT_FALSE(Landlock::create_without_files(3));
}

TEST_F(LandlockTest, EachOlderVersionIsSpokenToo) {
  for (int abi = 1; abi <= landlock_abi(); ++abi) {
    auto landlock = Landlock::create(abi);
    ASSERT_TRUE(landlock) << abi << ": " << landlock.error().text();
    ASSERT_TRUE(landlock->allow(dir_ / "below")) << abi;
    ASSERT_TRUE(landlock->allow(dir_ / "file")) << abi;
    inside(*landlock, [&] {
      EXPECT_EQ(open_errno(dir_ / "file", O_RDONLY), 0) << abi;
      EXPECT_EQ(open_errno("/etc/passwd", O_RDONLY), EACCES) << abi;
    });
  }
}

TEST_F(LandlockTest, WhatIsNotThereCannotBeAllowed) {
  auto landlock = Landlock::create();
  ASSERT_TRUE(landlock);
  EXPECT_THAT(landlock->allow(dir_ / "none").error().text(), HasSubstr("none"));
  ::symlink("nowhere", (dir_ / "dangling").c_str());
  EXPECT_FALSE(landlock->allow(dir_ / "dangling"));
  EXPECT_THAT(landlock->allow(dir_ / "file", Reach::kUnlink).error().text(),
              HasSubstr("no directory"));
  EXPECT_FALSE(landlock->allow(""));
}

TEST(Landlock, AKernelWithoutItIsSaidSo) {
  const auto landlock = Landlock::create(0);
  ASSERT_FALSE(landlock);
  EXPECT_EQ(landlock.error().kind(), ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace mote::isolation
