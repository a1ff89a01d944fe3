// What an io_uring does beyond the conformance suite: completions from the event loop, more
// requests than it has room for, errors of the host, and what its ring refuses.
#include "storage/uring_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <optional>

#include "storage/temp_file.h"

namespace mote::storage::test {
namespace {

struct Listener final : CompletionListener {
  void begin_completions() override {
    EXPECT_FALSE(inside);
    inside = true;
  }
  void end_completions() override {
    EXPECT_TRUE(inside);
    inside = false;
    ++rows;
  }
  bool inside = false;
  int rows = 0;
};

class UringDiskTest : public ::testing::Test {
 protected:
  void open(std::size_t bytes, Access access = Access::kReadWrite) {
    file_.emplace(std::string(bytes, 'x'));
    auto raw = RawFile::open(file_->path(), access, Cache::kBuffered);
    ASSERT_TRUE(raw);
    raw->in_memory = false;
    auto disk = UringDisk::create(std::move(*raw), *loop_);
    ASSERT_TRUE(disk) << disk.error().text();
    disk_ = std::move(*disk);
  }
  void submit(DiskRequest request) {
    disk_->submit(std::move(request), [this](const DiskRequest&, Result<void> result) {
      results_.push_back(std::move(result));
    });
  }

  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
  std::optional<TempFile> file_;
  std::unique_ptr<UringDisk> disk_;
  std::vector<Result<void>> results_;
};

TEST_F(UringDiskTest, CompletionsComeFromTheLoopInRows) {
  open(1 << 20);
  Listener listener;
  disk_->set_completion_listener(&listener);
  // A discard is done by a thread of the kernel's, so not yet when commit() is back, or just so.
  for (std::uint64_t i = 0; i < 8; ++i) {
    submit({.op = Op::kDiscard, .offset = i * 4096, .length = 4096, .buffers = {}});
  }
  disk_->commit();
  while (results_.size() < 8) ASSERT_TRUE(*loop_->run_once(5000)) << results_.size();
  for (const auto& result : results_) EXPECT_TRUE(result);
  EXPECT_FALSE(listener.inside);
}

TEST_F(UringDiskTest, NothingIsDoneBeforeTheCommit) {
  open(4096);
  std::string bytes(512, '!');
  submit({.op = Op::kRead, .offset = 0, .buffers = {{bytes.data(), bytes.size()}}});
  EXPECT_TRUE(results_.empty());
  EXPECT_FALSE(*loop_->run_once(0));
  disk_->commit();
  disk_->drain();
  ASSERT_EQ(results_.size(), 1U);
  EXPECT_EQ(bytes, std::string(512, 'x'));
}

TEST_F(UringDiskTest, TakesMoreThanTheRingHasRoomFor) {
  open(1 << 20);
  constexpr std::size_t kMany = 5 * Uring::kDepth;
  std::vector<std::string> bytes(kMany, std::string(512, '!'));
  for (auto& buffer : bytes) {
    submit({.op = Op::kRead, .offset = 1024, .buffers = {{buffer.data(), buffer.size()}}});
  }
  disk_->commit();
  while (results_.size() < kMany) ASSERT_TRUE(*loop_->run_once(5000)) << results_.size();
  for (const auto& result : results_) EXPECT_TRUE(result);
  for (const auto& buffer : bytes) ASSERT_EQ(buffer, std::string(512, 'x'));
  EXPECT_EQ(disk_->throttled(), kMany - Uring::kDepth);
}

TEST_F(UringDiskTest, AFileThatShrankIsAnIoError) {
  open(4096, Access::kReadOnly);
  std::filesystem::resize_file(file_->path(), 1000);
  std::string bytes(2048, '!');
  submit({.op = Op::kRead, .offset = 0, .buffers = {{bytes.data(), bytes.size()}}});
  disk_->drain();
  ASSERT_EQ(results_.size(), 1U);
  ASSERT_FALSE(results_[0]);
  EXPECT_EQ(results_[0].error().kind(), ErrorKind::kIo);
  EXPECT_NE(results_[0].error().text().find("offset 1000"), std::string::npos)
      << results_[0].error().text();
}

TEST_F(UringDiskTest, AnUnmappedBufferIsAnErrorOfItsRequestAlone) {
  open(4096);
  std::string bytes(512, '!');
  submit({.op = Op::kRead, .offset = 0, .buffers = {{reinterpret_cast<void*>(4096), 512}}});
  submit({.op = Op::kRead, .offset = 0, .buffers = {{bytes.data(), bytes.size()}}});
  disk_->drain();
  ASSERT_EQ(results_.size(), 2U);
  EXPECT_NE(results_[0].has_value(), results_[1].has_value());
  EXPECT_EQ(bytes, std::string(512, 'x'));
}

TEST_F(UringDiskTest, EndsOnlyWhenItsRequestsHave) {
  open(1 << 20);
  std::string bytes(1 << 19, '!');
  for (int i = 0; i < 40; ++i) {
    submit({.op = Op::kWrite, .offset = 0, .buffers = {{bytes.data(), bytes.size()}}});
  }
  disk_->commit();
  disk_.reset();
  EXPECT_EQ(results_.size(), 40U);
}

// What a block device does when its disk is replaced: no second ring is made for that.
TEST_F(UringDiskTest, DisksThatFollowEachOtherShareARing) {
  std::shared_ptr<DiskRing> ring;
  const auto open_at = [&](const std::string& path) {
    auto raw = RawFile::open(path, Access::kReadWrite, Cache::kBuffered);
    raw->in_memory = false;
    return UringDisk::create(std::move(*raw), *loop_, &ring);
  };
  const auto read_from = [&](UringDisk& disk) {
    std::string bytes(512, '-');
    disk.submit({.op = Op::kRead, .offset = 0, .buffers = {{bytes.data(), bytes.size()}}},
                [](const DiskRequest&, const Result<void>& result) { EXPECT_TRUE(result); });
    disk.drain();
    return bytes.front();
  };
  std::array<TempFile, 3> files{TempFile(std::string(512, 'a')), TempFile(std::string(512, 'b')),
                                TempFile(std::string(512, 'c'))};
  auto disk = open_at(files[0].path());
  ASSERT_TRUE(disk) << disk.error().text();
  EXPECT_EQ(read_from(**disk), 'a');
  const DiskRing* const first = ring.get();
  ASSERT_NE(first, nullptr);
  auto next = open_at(files[1].path());
  ASSERT_TRUE(next) << next.error().text();
  EXPECT_EQ(ring.get(), first);
  // Opened and not yet in place; and when there is no room for one more, that is said.
  EXPECT_EQ(read_from(**disk), 'a');
  std::vector<std::unique_ptr<UringDisk>> others;
  for (unsigned i = 2; i < Uring::kFiles; ++i) {
    auto other = open_at(files[2].path());
    ASSERT_TRUE(other) << other.error().text();
    others.push_back(std::move(*other));
  }
  EXPECT_FALSE(open_at(files[2].path()));
  others.clear();
  *disk = std::move(*next);
  EXPECT_EQ(read_from(**disk), 'b');
  for (int turn = 0; turn < 5; ++turn) {
    next = open_at(files[2].path());
    ASSERT_TRUE(next) << next.error().text();
    *disk = std::move(*next);
    EXPECT_EQ(read_from(**disk), 'c');
  }
}

TEST(Uring, RefusesWhatItIsNotFor) {
  const TempFile file(std::string(4096, 'x'));
  const UniqueFd fd(std::move(*open_file(file.path(), O_RDWR)));
  auto ring = Uring::create();
  ASSERT_TRUE(ring) << ring.error().text();
  // Another file cannot be given to it any more.
  const int other = fd.get();
  EXPECT_EQ(::syscall(__NR_io_uring_register, (*ring)->fd(), IORING_REGISTER_FILES, &other, 1), -1);
  EXPECT_EQ(::syscall(__NR_io_uring_register, (*ring)->fd(), IORING_UNREGISTER_FILES, nullptr, 0),
            -1);
}

}  // namespace
}  // namespace mote::storage::test
