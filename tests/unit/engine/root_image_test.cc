#include "engine/root_image.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/tool.h"
#include "temp_dir.h"

namespace mote::engine {
namespace {

using testing::HasSubstr;

class RootImageTest : public testing::Test {
 protected:
  // A file of `size` zeros with `bytes` at `offset`.
  std::string file_with(std::size_t size, std::size_t offset, std::string_view bytes) {
    std::string content(size, '\0');
    content.replace(offset, bytes.size(), bytes);
    return directory.write("image", content);
  }
  std::string error_of(const std::string& path) {
    const auto image = RootImage::open(path);
    return image ? "it was taken" : image.error().text();
  }

  test::TempDir directory;
};

TEST_F(RootImageTest, FileSystemsAreToldByTheirSuperblocks) {
  const auto kind = [](const std::string& path) {
    const auto image = RootImage::open(path);
    return image ? name_of(image->file_system()) : "none";
  };
  EXPECT_STREQ(kind(file_with(4096, 0x438, "\x53\xef")), "ext4");
  EXPECT_STREQ(kind(file_with(4096, 0, "hsqs")), "squashfs");
  EXPECT_STREQ(kind(file_with(4096, 1024, "\xe2\xe1\xf5\xe0")), "erofs");
}

TEST_F(RootImageTest, AnythingElseIsRefusedByName) {
  EXPECT_THAT(error_of(directory / "nothing"), HasSubstr(directory / "nothing"));
  EXPECT_THAT(error_of(file_with(0, 0, "")), HasSubstr("ext4, squashfs or erofs"));
  EXPECT_THAT(error_of(file_with(3, 0, "hsq")), HasSubstr("image"));
  EXPECT_THAT(error_of(file_with(1027, 1024, "\xe2\xe1\xf5")), HasSubstr("image"));
  EXPECT_THAT(error_of(file_with(0x439, 0x438, "\x53")), HasSubstr("image"));
  EXPECT_THAT(error_of(file_with(4096, 1024, "\xe0\xf5\xe1\xe2")), HasSubstr("image"))
      << "the other byte order";
  EXPECT_THAT(error_of(file_with(4096, 510, "\x55\xaa")), HasSubstr("partitioned"));
  EXPECT_THAT(error_of("/dev/null"), HasSubstr("/dev/null"));
  const std::string fifo = directory / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(error_of(fifo), HasSubstr("neither a directory nor an image"));
}

TEST_F(RootImageTest, DirectoryBecomesAnImageThatLeavesNothingBehind) {
  if (find_tool("mkfs.erofs").empty() && find_tool("mke2fs").empty()) {
    GTEST_SKIP() << "neither mkfs.erofs nor mke2fs is installed";
  }
  ::mkdir((directory / "root").c_str(), 0755);
  ::mkdir((directory / "tmp").c_str(), 0755);
  directory.write("root/file", "content");
  ::setenv("TMPDIR", (directory / "tmp").c_str(), 1);
  {
    const auto image = RootImage::open(directory / "root");
    ASSERT_TRUE(image) << image.error().text();
    const auto again = detect_file_system(image->fd(), "the image");
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, image->file_system());
    EXPECT_EQ(::rmdir((directory / "tmp").c_str()), 0) << "it has a name";
  }
  const std::string error = error_of(directory / "root");
  EXPECT_THAT(error, HasSubstr("TMPDIR"));
  ::unsetenv("TMPDIR");
}

TEST_F(RootImageTest, DirectoryBecomesExt4WhereThereIsNoErofs) {
  if (find_tool("mke2fs").empty()) GTEST_SKIP() << "mke2fs is not installed";
  directory.write("file", std::string(3 << 20, 'x'));
  const auto image = RootImage::open(directory.path(), [](const std::string& name) {
    return name == "mke2fs" ? find_tool(name) : "";
  });
  ASSERT_TRUE(image) << image.error().text();
  EXPECT_EQ(image->file_system(), FileSystem::kExt4);
  const auto kind = detect_file_system(image->fd(), "the image");
  ASSERT_TRUE(kind);
  EXPECT_EQ(*kind, FileSystem::kExt4);
}

TEST_F(RootImageTest, WithoutToolsTheirPackagesAreNamed) {
  const auto image = RootImage::open(directory.path(), [](const std::string&) { return ""; });
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().text(), HasSubstr("erofs-utils"));
}

}  // namespace
}  // namespace mote::engine
