#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "base/unique_fd.h"
#include "temp_dir.h"

namespace mote {
namespace {

void expect_same(const struct stat& found, const struct stat& wanted) {
  EXPECT_EQ(found.st_mode, wanted.st_mode);
  EXPECT_EQ(found.st_dev, wanted.st_dev);
  EXPECT_EQ(found.st_rdev, wanted.st_rdev);
  EXPECT_EQ(found.st_ino, wanted.st_ino);
  EXPECT_EQ(found.st_nlink, wanted.st_nlink);
  EXPECT_EQ(found.st_size, wanted.st_size);
  EXPECT_EQ(found.st_mtim.tv_sec, wanted.st_mtim.tv_sec);
  EXPECT_EQ(found.st_mtim.tv_nsec, wanted.st_mtim.tv_nsec);
  EXPECT_EQ(found.st_blksize, wanted.st_blksize);
}

TEST(File, IsLookedAtAsStatDoes) {
  const test::TempDir dir;
  const std::string file = dir.write("f", "0123");
  std::filesystem::create_symlink("f", dir / "link");
  for (const std::string& path :
       {file, std::string(dir.path()), std::string("/dev/null"), std::string(dir / "link")}) {
    struct stat found{};
    struct stat wanted{};
    ASSERT_TRUE(look_at(path, found));
    ASSERT_EQ(::stat(path.c_str(), &wanted), 0);
    expect_same(found, wanted);
    ASSERT_TRUE(look_at(path, found, AT_SYMLINK_NOFOLLOW));
    ASSERT_EQ(::lstat(path.c_str(), &wanted), 0);
    expect_same(found, wanted);
  }
  const UniqueFd fd = *open_file(file, O_RDONLY);
  struct stat found{};
  struct stat wanted{};
  ASSERT_TRUE(look_at(fd.get(), found));
  ASSERT_EQ(::fstat(fd.get(), &wanted), 0);
  expect_same(found, wanted);
  EXPECT_FALSE(look_at(dir / "none", found));
  EXPECT_EQ(errno, ENOENT);
  EXPECT_FALSE(look_at(-1, found));
  EXPECT_EQ(errno, EBADF);
}

TEST(File, GrowsByZeros) {
  const test::TempDir dir;
  const UniqueFd fd = *open_file(dir.write("f", "ab"), O_RDWR);
  ASSERT_TRUE(extend_file(fd.get(), 4));
  EXPECT_EQ(dir.read("f"), std::string("ab\0\0", 4));
  ASSERT_TRUE(extend_file(fd.get(), 5));
  EXPECT_EQ(dir.read("f"), std::string("ab\0\0\0", 5));
  const UniqueFd read_only = *open_file(dir / "f", O_RDONLY);
  EXPECT_FALSE(extend_file(read_only.get(), 10));
}

TEST(File, BuffersAreReadAndWrittenWithAPlaceAndWithout) {
  const test::TempDir dir;
  const UniqueFd fd = *open_file(dir.write("f", "0123456789"), O_RDWR);
  std::array<char, 2> one{};
  std::array<char, 3> two{};
  const std::array<iovec, 2> buffers{iovec{one.data(), one.size()}, iovec{two.data(), two.size()}};
  EXPECT_EQ(read_buffers(fd.get(), buffers, 4), 5);
  EXPECT_EQ(std::string(two.data(), 3), "678");
  EXPECT_EQ(read_buffers(fd.get(), buffers, kNoOffset), 5);
  EXPECT_EQ(std::string(one.data(), 2), "01");
  EXPECT_EQ(write_buffers(fd.get(), buffers, kNoOffset), 5);
  EXPECT_EQ(dir.read("f"), "0123401234");
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  EXPECT_EQ(write_buffers(in.get(), buffers, kNoOffset), 5);
  std::array<std::byte, 8> bytes{};
  EXPECT_EQ(read_next(out.get(), bytes), 5);
}

}  // namespace
}  // namespace mote
