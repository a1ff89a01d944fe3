// What a raw disk is made of, by its options, and direct I/O where the filesystem has it.
#include "storage/raw_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "storage/temp_file.h"

namespace mote::storage::test {
namespace {

class RawDisk : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Disk>> open(const std::string& path, RawOptions options) {
    return open_raw_disk(path, options, *loop_);
  }
  static Result<void> run(Disk& disk, DiskRequest request) {
    Result<void> outcome = fail(ErrorKind::kInternal, "not completed");
    disk.submit(std::move(request),
                [&](const DiskRequest&, Result<void> result) { outcome = std::move(result); });
    disk.drain();
    return outcome;
  }
  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
};

TEST_F(RawDisk, SaysWhatTheHostSays) {
  const TempFile file(std::string(8192, 'x'));
  struct stat status{};
  ASSERT_EQ(::stat(file.path().c_str(), &status), 0);
  for (const Engine engine : {Engine::kSync, Engine::kUring}) {
    const auto disk = open(file.path(), {.engine = engine});
    ASSERT_TRUE(disk);
    const DiskTraits& traits = (*disk)->traits();
    EXPECT_EQ(traits.block_size, 512U);
    EXPECT_EQ(traits.physical_block_size, static_cast<std::uint32_t>(status.st_blksize));
    EXPECT_TRUE(traits.can_discard);
    const auto locked = open(file.path(), {.access = Access::kReadOnly, .engine = engine});
    ASSERT_TRUE(locked);
    EXPECT_FALSE((*locked)->traits().can_discard);
  }
}

TEST_F(RawDisk, ADiscardGivesRoomBack) {
  const TempFile file(std::string(1 << 20, 'x'));
  for (const Engine engine : {Engine::kSync, Engine::kUring}) {
    const auto disk = open(file.path(), {.engine = engine});
    ASSERT_TRUE(disk);
    struct stat before{};
    struct stat after{};
    ASSERT_EQ(::stat(file.path().c_str(), &before), 0);
    const std::uint64_t half = engine == Engine::kSync ? 0 : 1 << 19;
    ASSERT_TRUE(
        run(**disk, {.op = Op::kDiscard, .offset = half, .length = 1 << 19, .buffers = {}}));
    ASSERT_EQ(::stat(file.path().c_str(), &after), 0);
    EXPECT_EQ(after.st_size, before.st_size);
    EXPECT_EQ(after.st_blocks, before.st_blocks - 1024);
  }
}

TEST_F(RawDisk, DirectIsAroundThePageCacheOrRefused) {
  for (const Engine engine : {Engine::kSync, Engine::kUring}) {
    const TempFile file(std::string(1 << 20, 'x'));
    const int probe = ::open(file.path().c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
    const UniqueFd close(probe);
    const auto disk = open(file.path(), {.cache = Cache::kDirect, .engine = engine});
    if (probe < 0) {
      ASSERT_FALSE(disk);
      EXPECT_EQ(disk.error().kind(), ErrorKind::kUnsupported);
      EXPECT_NE(disk.error().text().find("direct"), std::string::npos);
      continue;
    }
    ASSERT_TRUE(disk) << disk.error().text();
    // Neither the address nor the lengths are what the host asks for.
    std::string bytes(300001, '!');
    const std::uint64_t block = (*disk)->traits().block_size;
    ASSERT_EQ(262144 % block, 0U);
    ASSERT_TRUE(run(**disk, {.op = Op::kRead,
                             .offset = block,
                             .buffers = {{bytes.data() + 1, 1}, {bytes.data() + 2, 262143}}}));
    EXPECT_TRUE(bytes.substr(0, 262146) == "!" + std::string(262144, 'x') + "!");
    std::string written = std::string(1, '.') + std::string(block, 'w');
    ASSERT_TRUE(run(**disk, {.op = Op::kWrite,
                             .offset = block,
                             .buffers = {{written.data() + 1, written.size() - 1}}}));
    ASSERT_TRUE(run(**disk, {.op = Op::kFlush, .buffers = {}}));
    EXPECT_EQ(file.content().substr(block, block), std::string(block, 'w'));
    ASSERT_TRUE(
        run(**disk, {.op = Op::kWriteZeroes, .offset = block, .length = block, .buffers = {}}));
    EXPECT_EQ(file.content().substr(block, block), std::string(block, '\0'));
    EXPECT_EQ(file.content().substr(2 * block, block), std::string(block, 'x'));
  }
}

}  // namespace
}  // namespace mote::storage::test
