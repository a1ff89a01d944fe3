#include "isolation/jail/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "temp_dir.h"

namespace mote::isolation::jail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Directory : public testing::Test {
 protected:
  Directory() : base_(open_base(dir_.path())) {}
  std::string error_of(const std::string& name, int flags) {
    const auto opened = open_below(*base_, name, flags);
    return opened ? "no error" : opened.error().text();
  }

  test::TempDir dir_;
  Result<UniqueFd> base_;
};

TEST_F(Directory, OpensWhatLiesBelow) {
  ASSERT_TRUE(base_);
  fs::create_directories(dir_ / "a/b");
  dir_.write("file", "x");
  EXPECT_EQ(error_of("a", O_RDONLY | O_DIRECTORY), "no error");
  EXPECT_EQ(error_of("a/b", O_RDONLY | O_DIRECTORY), "no error");
  EXPECT_THAT(error_of("file", O_RDONLY | O_DIRECTORY), HasSubstr("ENOTDIR"));
  EXPECT_THAT(error_of("none", O_RDONLY), HasSubstr("ENOENT"));
}

TEST_F(Directory, OpensNothingElse) {
  fs::create_symlink("/", dir_ / "link");
  fs::create_symlink("file", dir_ / "near");
  fs::create_symlink("/proc/self/root", dir_ / "magic");
  dir_.write("file", "x");
  for (const char* const name : {"link", "near", "magic", "link/etc"}) {
    EXPECT_THAT(error_of(name, O_RDONLY), HasSubstr("symbolic link")) << name;
    EXPECT_THAT(error_of(name, O_PATH), HasSubstr("symbolic link")) << name;
  }
  for (const char* const name : {"..", "../..", "/", "/etc"}) {
    EXPECT_THAT(error_of(name, O_RDONLY), HasSubstr("EXDEV")) << name;
  }
}

TEST_F(Directory, IsMadeOnceAndRemovedAgain) {
  fs::create_directory(dir_ / "there");
  {
    Undo undo;
    ASSERT_TRUE(make_directory(*base_, "there", 0700, undo));
    ASSERT_TRUE(make_directory(*base_, "new", 0700, undo));
    EXPECT_TRUE(fs::is_directory(dir_ / "new"));
  }
  EXPECT_TRUE(fs::exists(dir_ / "there"));
  EXPECT_FALSE(fs::exists(dir_ / "new"));
  Undo undo;
  fs::create_symlink("there", dir_ / "link");
  EXPECT_FALSE(make_directory(*base_, "link", 0700, undo));
  dir_.write("file", "x");
  EXPECT_FALSE(make_directory(*base_, "file", 0700, undo));
}

// Someone swaps a directory for a link while it is used: what is opened is the directory or
// nothing.
TEST_F(Directory, IsNeverOneThatALinkLeadsTo) {
  fs::create_directories(dir_ / "inside");
  fs::create_directories(dir_ / "outside/x");
  fs::create_symlink("outside", dir_ / "link");
  std::atomic<bool> done = false;
  std::thread swapper([&] {
    while (!done) {
      ::renameat2(base_->get(), "inside", base_->get(), "link", RENAME_EXCHANGE);
    }
  });
  int opened = 0;
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    const auto directory = open_below(*base_, "inside", O_RDONLY | O_DIRECTORY);
    opened += directory ? 1 : 0;
    refused += directory ? 0 : 1;
    if (directory) ASSERT_FALSE(open_below(*directory, "x", O_PATH)) << "the other directory's";
  }
  done = true;
  swapper.join();
  EXPECT_GT(opened, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace mote::isolation::jail
