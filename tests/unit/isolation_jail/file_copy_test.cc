// The copy that another thread makes, whenever it is asked for.
#include "isolation/jail/file_copy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "temp_dir.h"

namespace mote::isolation::jail {
namespace {

// A piece and a bit, twice, no byte like its neighbour a piece away.
std::string content() {
  std::string bytes(300'001, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i % 251 + i / 131072);
  return bytes;
}

class CopierTest : public testing::Test {
 protected:
  CopierTest()
      : from_(*open_file(dir_.write("from", content()), O_RDONLY)),
        to_(*open_file(dir_ / "to", O_WRONLY | O_CREAT | O_EXCL, 0700)) {}

  test::TempDir dir_;
  UniqueFd from_;
  UniqueFd to_;
};

TEST_F(CopierTest, CopiesAtOnce) {
  Copier copier;
  copier.prepare();
  copier.begin(std::move(from_), std::move(to_), content().size());
  ASSERT_TRUE(copier.finish());
  ASSERT_TRUE(copier.finish()) << "asked twice";
  EXPECT_EQ(dir_.read("to"), content());
}

TEST_F(CopierTest, CopiesWhenItsThreadDoesNotLookAnyMore) {
  Copier copier;
  copier.prepare();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  copier.begin(std::move(from_), std::move(to_), content().size());
  ASSERT_TRUE(copier.finish());
  EXPECT_EQ(dir_.read("to"), content());
}

TEST_F(CopierTest, CopiesWithoutAThread) {
  Copier copier;
  copier.begin(std::move(from_), std::move(to_), content().size());
  ASSERT_TRUE(copier.finish());
  ASSERT_TRUE(copier.finish());
  EXPECT_EQ(dir_.read("to"), content());
}

TEST_F(CopierTest, TakesNoMoreThanItWasAskedFor) {
  Copier copier;
  copier.prepare();
  copier.begin(std::move(from_), std::move(to_), 200'000);
  ASSERT_TRUE(copier.finish());
  EXPECT_EQ(dir_.read("to"), content().substr(0, 200'000));
}

// A file that somebody has open for writing cannot be executed.
TEST_F(CopierTest, ClosesTheCopy) {
  struct stat status{};
  const int number = to_.get();
  ASSERT_EQ(::fstat(number, &status), 0);
  Copier copier;
  copier.prepare();
  copier.begin(std::move(from_), std::move(to_), content().size());
  ASSERT_TRUE(copier.finish());
  struct stat now{};
  EXPECT_TRUE(::fstat(number, &now) < 0 || now.st_ino != status.st_ino);
}

TEST_F(CopierTest, SaysThatTheFileShrank) {
  Copier copier;
  copier.prepare();
  copier.begin(std::move(from_), std::move(to_), content().size() + 1);
  ASSERT_FALSE(copier.finish());
  EXPECT_EQ(copier.finish().error().text(), "the file shrank while it was copied");
}

TEST_F(CopierTest, SaysWhatCannotBeWritten) {
  Copier copier;
  copier.prepare();
  copier.begin(std::move(to_), std::move(from_), 1);  // one may only be written to, one only read
  ASSERT_FALSE(copier.finish());
}

TEST_F(CopierTest, EndsWithNothingToCopy) {
  {
    Copier never_prepared;
  }
  Copier copier;
  copier.prepare();
  EXPECT_TRUE(copier.finish());
  copier.end();
  Copier looking;
  looking.prepare();
}

}  // namespace
}  // namespace mote::isolation::jail
