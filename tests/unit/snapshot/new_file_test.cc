// A file that is whole or not there, whoever else writes it or is in its place.
#include "snapshot/new_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "temp_dir.h"

namespace mote::snapshot {
namespace {

void write(const NewFile& file, std::string_view text) {
  ASSERT_TRUE(write_at(file.fd(), std::as_bytes(std::span(text)), 0));
}

std::size_t files_in(const test::TempDir& dir) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.path()))
    ++count;
  return count;
}

TEST(NewFile, TakesThePlaceOfTheOldWhenItIsWhole) {
  const test::TempDir dir;
  const std::string path = dir.write("f", "old, and longer");
  {
    auto file = NewFile::create(path);
    ASSERT_TRUE(file) << file.error().text();
    write(*file, "new");
    EXPECT_EQ(dir.read("f"), "old, and longer");
    ASSERT_TRUE(file->commit());
  }
  EXPECT_EQ(dir.read("f"), "new");
  EXPECT_EQ(files_in(dir), 1U);
}

TEST(NewFile, LeavesNothingWhereItIsGivenUp) {
  const test::TempDir dir;
  const std::string path = dir.write("f", "old");
  {
    auto file = NewFile::create(path);
    ASSERT_TRUE(file);
    write(*file, "new");
  }
  {
    ASSERT_TRUE(NewFile::create(dir / "other"));
  }
  EXPECT_EQ(dir.read("f"), "old");
  EXPECT_EQ(files_in(dir), 1U);
}

TEST(NewFile, WritesOverWhatAKilledWriterLeft) {
  const test::TempDir dir;
  dir.write("f.new", "half of something that was longer");
  auto file = NewFile::create(dir / "f");
  ASSERT_TRUE(file) << file.error().text();
  write(*file, "whole");
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(dir.read("f"), "whole");
  EXPECT_EQ(files_in(dir), 1U);
}

TEST(NewFile, OfTwoWritersOneIsTold) {
  const test::TempDir dir;
  auto one = NewFile::create(dir / "f");
  ASSERT_TRUE(one);
  const auto other = NewFile::create(dir / "f");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), ErrorKind::kState);
  write(*one, "one");
  ASSERT_TRUE(one->commit());
  EXPECT_TRUE(NewFile::create(dir / "f")) << "it is free again";
  EXPECT_EQ(dir.read("f"), "one");
}

TEST(NewFile, IsKnownToBeWholeByItsName) {
  const test::TempDir dir;
  dir.write("f", "old");
  auto file = NewFile::create(dir / "f");
  ASSERT_TRUE(file);
  write(*file, "new");
  EXPECT_FALSE(std::filesystem::exists(dir / "f.whole"));
  ASSERT_TRUE(file->finish());
  EXPECT_EQ(dir.read("f.whole"), "new");
  EXPECT_EQ(*NewFile::whole_name(dir / "f"), dir / "f.whole");
  EXPECT_EQ(dir.read("f"), "old");
  const auto other = NewFile::create(dir / "f");
  ASSERT_FALSE(other) << "it is about to be put in place";
  EXPECT_EQ(other.error().kind(), ErrorKind::kState);
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(dir.read("f"), "new");
  EXPECT_EQ(files_in(dir), 1U);
  EXPECT_TRUE(NewFile::create(dir / "f"));
}

TEST(NewFile, OneThatIsFinishedIsRemovedUnlessItIsToStay) {
  const test::TempDir dir;
  for (const bool stays : {false, true}) {
    auto file = NewFile::create(dir / "f");
    ASSERT_TRUE(file);
    write(*file, "new");
    ASSERT_TRUE(file->finish());
    if (stays) file->keep();
    const NewFile gone = std::move(*file);
  }
  EXPECT_EQ(dir.read("f.whole"), "new");
  // Nobody has it any more.
  EXPECT_TRUE(NewFile::create(dir / "f"));
  EXPECT_EQ(dir.read("f.whole"), "new");
}

TEST(NewFile, KnowsWhatIsInItsWay) {
  const test::TempDir dir;
  std::filesystem::create_directory(dir / "d");
  const auto file = NewFile::create(dir / "f");
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->passes(dir / "f.new"));
  EXPECT_TRUE(file->passes(dir / "f.whole"));
  EXPECT_TRUE(file->passes(dir / "d/../f.whole"));
  EXPECT_FALSE(file->passes(dir / "f"));
  EXPECT_FALSE(file->passes(dir / "d/f.whole"));
  EXPECT_FALSE(file->passes(dir / "no/f.whole"));
}

TEST(NewFile, FollowsALink) {
  const test::TempDir dir;
  std::filesystem::create_directory(dir / "there");
  dir.write("there/f", "old");
  std::filesystem::create_symlink("there/f", dir / "link");
  auto file = NewFile::create(dir / "link");
  ASSERT_TRUE(file) << file.error().text();
  write(*file, "new");
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(dir.read("there/f"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link"));
}

TEST(NewFile, ReplacesNothingElseThanAFile) {
  const test::TempDir dir;
  EXPECT_FALSE(NewFile::create(dir.path()));
  EXPECT_FALSE(NewFile::create("/dev/null"));
  EXPECT_FALSE(NewFile::create("/dev/full"));
  EXPECT_FALSE(NewFile::create(dir / "no/f"));
  EXPECT_FALSE(NewFile::create(""));
  EXPECT_FALSE(NewFile::create(std::string("a\0b", 3)));
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_FALSE(NewFile::create(dir / "fifo"));
  std::filesystem::create_symlink("nowhere", dir / "dangling");
  EXPECT_FALSE(NewFile::create(dir / "dangling"));
  std::filesystem::create_symlink("/dev/null", dir / "null");
  EXPECT_FALSE(NewFile::create(dir / "null"));
  ASSERT_EQ(::mkfifo((dir / "g.new").c_str(), 0600), 0);
  EXPECT_FALSE(NewFile::create(dir / "g"));
}

TEST(NewFile, InTheWorkingDirectory) {
  const test::TempDir dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  auto file = NewFile::create("f");
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->commit());
  std::filesystem::current_path(before);
  EXPECT_TRUE(std::filesystem::exists(dir / "f"));
}

}  // namespace
}  // namespace mote::snapshot
