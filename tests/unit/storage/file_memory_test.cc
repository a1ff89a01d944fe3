// Files as memory, as the host maps them.
#include "storage/file_memory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "storage/temp_file.h"
#include "temp_dir.h"

namespace mote::storage {
namespace {

using testing::HasSubstr;

class FileMemoryTest : public testing::Test {
 protected:
  Result<std::unique_ptr<HostFileMemory>> open(const std::string& path,
                                               Access access = Access::kReadWrite) {
    return HostFileMemory::open(path, access, *loop_);
  }
  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
};

std::string content(const std::string& path) {
  const UniqueFd fd = std::move(*open_file(path, O_RDONLY));
  return *read_all(fd.get(), 1 << 24);
}

TEST_F(FileMemoryTest, IsTheFileAndThenPrivatePages) {
  test::TempFile file(std::string(5000, 'f'));
  auto memory = open(file.path());
  ASSERT_TRUE(memory) << memory.error().text();
  EXPECT_EQ((*memory)->file_size(), 5000U);
  EXPECT_FALSE((*memory)->read_only());
  const MappedMemory mapping = (*memory)->take_mapping();
  EXPECT_EQ(mapping.size(), FileMemory::kAlignment);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(mapping.data()) % FileMemory::kAlignment, 0U);
  EXPECT_EQ(mapping.data()[4999], std::byte{'f'});
  EXPECT_EQ(mapping.data()[5000], std::byte{0});
  // What is written is in the file at once, for all to see; behind its end it is nowhere.
  mapping.data()[10] = std::byte{'w'};
  mapping.data()[6000] = std::byte{'w'};
  mapping.data()[mapping.size() - 1] = std::byte{'w'};
  EXPECT_EQ(content(file.path()), std::string(10, 'f') + "w" + std::string(4989, 'f'));
}

TEST_F(FileMemoryTest, OfWholePiecesHasNothingBehind) {
  test::TempFile file(std::string(2 * FileMemory::kAlignment, 'f'));
  auto memory = open(file.path());
  ASSERT_TRUE(memory);
  EXPECT_EQ((*memory)->take_mapping().size(), 2 * FileMemory::kAlignment);
}

TEST_F(FileMemoryTest, ReadOnlyTakesAFileThatCannotBeWritten) {
  test::TempFile file(std::string(5000, 'f'));
  ASSERT_EQ(::chmod(file.path().c_str(), 0400), 0);
  auto memory = open(file.path(), Access::kReadOnly);
  ASSERT_TRUE(memory) << memory.error().text();
  EXPECT_TRUE((*memory)->read_only());
  const MappedMemory mapping = (*memory)->take_mapping();
  EXPECT_EQ(mapping.data()[0], std::byte{'f'});
  EXPECT_EQ(mapping.data()[6000], std::byte{0});
  EXPECT_DEATH(mapping.data()[0] = std::byte{'w'}, "");
}

TEST_F(FileMemoryTest, RefusesWhatIsNoFile) {
  mote::test::TempDir directory;
  test::TempFile empty("");
  EXPECT_THAT(open(empty.path()).error().text(), HasSubstr("is empty"));
  EXPECT_EQ(open(directory / "none").error().kind(), ErrorKind::kNotFound);
  EXPECT_FALSE(open(directory / ""));
  EXPECT_FALSE(open("/dev/null"));
  EXPECT_FALSE(open("/dev/zero", Access::kReadOnly));
}

TEST_F(FileMemoryTest, SyncsOnAThreadAndAnswersOnTheLoop) {
  test::TempFile file(std::string(5000, 'f'));
  auto memory = open(file.path());
  ASSERT_TRUE(memory);
  const MappedMemory mapping = (*memory)->take_mapping();
  mapping.data()[0] = std::byte{'w'};
  for (int round = 0; round < 3; ++round) {
    bool done = false;
    (*memory)->sync([&](const Result<void>& result) {
      EXPECT_TRUE(result);
      done = true;
    });
    while (!done) ASSERT_TRUE(*loop_->run_once(5000));
  }
}

TEST_F(FileMemoryTest, ADrainWaitsAndTheAnswerComesOnce) {
  test::TempFile file(std::string(5000, 'f'));
  auto memory = open(file.path());
  ASSERT_TRUE(memory);
  int done = 0;
  (*memory)->sync([&](const Result<void>& /*result*/) {
    // One that is asked for meanwhile is waited for as well.
    (*memory)->sync([&](const Result<void>& /*result*/) { ++done; });
    ++done;
  });
  (*memory)->drain();
  EXPECT_EQ(done, 2);
  (*memory)->drain();
  while (*loop_->run_once(0)) {
  }
  EXPECT_EQ(done, 2);
}

TEST_F(FileMemoryTest, MayEndDuringASync) {
  test::TempFile file(std::string(5000, 'f'));
  auto memory = open(file.path());
  ASSERT_TRUE(memory);
  (*memory)->sync([](const Result<void>& /*result*/) { FAIL() << "nobody is there any more"; });
  memory->reset();
  while (*loop_->run_once(0)) {
  }
}

}  // namespace
}  // namespace mote::storage
