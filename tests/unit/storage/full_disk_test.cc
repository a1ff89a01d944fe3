// What a disk is on a filesystem that is full: each write that finds no room is an error of that
// write, what was written before is there, and all goes on once there is room again.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "storage/overlay/disk.h"
#include "storage/qcow2/disk.h"
#include "storage/qcow2/support.h"
#include "storage/raw_disk.h"
#include "storage/uring_disk.h"

namespace mote::storage::test {
namespace {

using qcow2::test::Place;
using qcow2::test::read_all;
using qcow2::test::submit;
using qcow2::test::write_file;

constexpr std::uint64_t kSize = 4 << 20;
constexpr std::uint64_t kStep = 64 << 10;

// A filesystem with room for half of the disk.
class SmallFilesystem {
 public:
  ~SmallFilesystem() {
    if (mounted_) ::umount2((place_ / "").c_str(), MNT_DETACH);
  }
  bool mount() {
    mounted_ = ::mount("tmpfs", (place_ / "").c_str(), "tmpfs", 0, "size=2m") == 0;
    return mounted_;
  }
  void grow() {
    ASSERT_EQ(::mount("tmpfs", (place_ / "").c_str(), "tmpfs", MS_REMOUNT, "size=16m"), 0);
  }
  std::string disk() const { return place_ / "disk"; }

 private:
  Place place_;
  bool mounted_ = false;
};

using Opened = Result<std::unique_ptr<Disk>>;

struct Format {
  std::string name;
  void (*make)(const std::string& path);
  Opened (*open)(const std::string& path, EventLoop& loop);
};

template <typename D>
Opened as_disk(Result<std::unique_ptr<D>> opened) {
  if (!opened) return std::unexpected(std::move(opened.error()));
  return std::unique_ptr<Disk>(std::move(*opened));
}

void make_raw(const std::string& path) {
  write_file(path, "");
  std::filesystem::resize_file(path, kSize);
}
void make_qcow2(const std::string& path) {
  write_file(path, qcow2::test::empty_image({.size = kSize}));
}
void make_layer(const std::string& path) { ASSERT_TRUE(overlay::create_layer(path, {}, kSize)); }

Opened open_raw(const std::string& path, EventLoop& loop) { return open_raw_disk(path, {}, loop); }
// By the ring, although the file is in memory.
Opened open_ring(const std::string& path, EventLoop& loop) {
  MOTE_TRY(RawFile file, RawFile::open(path, Access::kReadWrite, Cache::kBuffered));
  file.in_memory = false;
  return as_disk(UringDisk::create(std::move(file), loop));
}
template <Engine kEngine>
Opened open_qcow2(const std::string& path, EventLoop& loop) {
  return as_disk(qcow2::Qcow2Disk::open(path, {.engine = kEngine}, &loop));
}
template <Engine kEngine, overlay::MapWrites kWrites>
Opened open_layer(const std::string& path, EventLoop& loop) {
  return as_disk(
      overlay::OverlayDisk::open(path, {.map_writes = kWrites, .engine = kEngine}, &loop));
}

class FullDisk : public ::testing::TestWithParam<Format> {
 protected:
  void SetUp() override {
    if (!small_.mount()) GTEST_SKIP() << "filesystems are mounted by root";
    GetParam().make(small_.disk());
    open();
  }
  void open() {
    disk_.reset();
    auto disk = GetParam().open(small_.disk(), *loop_);
    ASSERT_TRUE(disk) << disk.error().text();
    disk_ = std::move(*disk);
  }
  Result<void> write(std::uint64_t offset, char with) {
    std::string bytes(kStep, with);
    auto done = submit(*disk_, Op::kWrite, offset, bytes);
    if (done) model_.replace(offset, kStep, bytes);
    return done;
  }
  // What is there, but for where a write failed: part of that may be.
  void expect_what_was_written(const std::vector<std::uint64_t>& failed) {
    std::string held = read_all(*disk_);
    std::string wanted = model_;
    for (const std::uint64_t offset : failed) {
      held.replace(offset, kStep, kStep, '?');
      wanted.replace(offset, kStep, kStep, '?');
    }
    EXPECT_TRUE(held == wanted);
  }

  SmallFilesystem small_;
  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
  std::unique_ptr<Disk> disk_;
  std::string model_ = std::string(kSize, '\0');
};

TEST_P(FullDisk, IsAnErrorOfEachWriteAndNothingElse) {
  std::vector<std::uint64_t> failed;
  for (std::uint64_t offset = 0; offset < kSize; offset += kStep) {
    const auto done = write(offset, 'a');
    if (done) continue;
    failed.push_back(offset);
    EXPECT_NE(done.error().text().find("No space left"), std::string::npos) << done.error().text();
  }
  EXPECT_GE(failed.size(), 16U);
  EXPECT_LE(failed.size(), 56U) << "what there was room for was written";
  expect_what_was_written(failed);
  // What is there already needs no more room.
  EXPECT_TRUE(write(0, 'b'));
  expect_what_was_written(failed);
  small_.grow();
  for (const std::uint64_t offset : failed) {
    const auto done = write(offset, 'c');
    ASSERT_TRUE(done) << done.error().text();
  }
  std::string nothing;
  EXPECT_TRUE(submit(*disk_, Op::kFlush, 0, nothing));
  expect_what_was_written({});
  open();
  expect_what_was_written({});
}

using enum Engine;
using overlay::MapWrites;
INSTANTIATE_TEST_SUITE_P(
    Formats, FullDisk,
    ::testing::Values(Format{"raw", make_raw, open_raw}, Format{"ring", make_raw, open_ring},
                      Format{"qcow2", make_qcow2, open_qcow2<kSync>},
                      Format{"qcow2_async", make_qcow2, open_qcow2<kUring>},
                      Format{"layer", make_layer, open_layer<kSync, MapWrites::kThrough>},
                      Format{"layer_on_flush", make_layer, open_layer<kSync, MapWrites::kOnFlush>},
                      Format{"layer_async", make_layer, open_layer<kUring, MapWrites::kOnFlush>}),
    [](const auto& format) { return format.param.name; });

}  // namespace
}  // namespace mote::storage::test
