// A monitor that is killed between any two of its writes, or within one, leaves an image in which
// clusters may have leaked, but nothing is wrong and nothing is lost.
#include <gtest/gtest.h>

#include "storage/qcow2/support.h"

namespace mote::storage::qcow2::test {
namespace {

// A file to which nothing gets any more after so many changes. The last one gets there in part, as
// a process may be killed after any page of a long write.
class DyingFile final : public ImageFile {
 public:
  DyingFile(std::unique_ptr<ImageFile> inner, std::uint64_t changes)
      : inner_(std::move(inner)), left_(changes) {}

  bool dead() const { return dead_; }
  std::uint64_t size() const override { return inner_->size(); }
  Result<void> read(std::span<iovec> buffers, std::uint64_t offset) override {
    return inner_->read(buffers, offset);
  }
  Result<void> write(std::span<iovec> buffers, std::uint64_t offset) override {
    if (dead_) return killed();
    if (left_-- > 0) return inner_->write(buffers, offset);
    dead_ = true;
    std::string bytes;
    for (const iovec& buffer : buffers) {
      bytes.append(static_cast<const char*>(buffer.iov_base), buffer.iov_len);
    }
    const std::size_t page = 4096 - offset % 4096;
    if (page < bytes.size()) {
      const auto part = std::as_bytes(std::span(bytes)).first(page);
      static_cast<void>(inner_->write_bytes(part, offset));
    }
    return killed();
  }
  Result<void> sync() override { return inner_->sync(); }
  Result<void> grow(std::uint64_t size) override {
    if (dead_) return killed();
    if (left_-- > 0) return inner_->grow(size);
    dead_ = true;
    return killed();
  }
  bool punch(std::uint64_t offset, std::uint64_t length) override {
    if (dead_) return false;
    if (left_-- > 0) return inner_->punch(offset, length);
    dead_ = true;
    return false;
  }

 private:
  static std::unexpected<Error> killed() { return fail(ErrorKind::kIo, "killed"); }

  std::unique_ptr<ImageFile> inner_;
  std::uint64_t left_;
  bool dead_ = false;
};

// Everything but the range of the request that was under way is as it was promised.
void expect_promises_kept(const std::string& path, const Mutator& mutator,
                          std::uint64_t killed_at) {
  auto disk = Qcow2Disk::open(path, {.backing_files = true});
  ASSERT_TRUE(disk) << disk.error().text();
  std::string now = read_all(**disk);
  std::string then = mutator.model();
  now.replace(mutator.last_offset(), mutator.last_length(), mutator.last_length(), '.');
  then.replace(mutator.last_offset(), mutator.last_length(), mutator.last_length(), '.');
  EXPECT_TRUE(now == then) << "killed at " << killed_at;
}

// Kills at changes 0, `stride`, ... until the work is done without. `held` is what `path` holds.
void kill_everywhere(const std::string& path, const std::string& held, std::uint64_t stride,
                     int steps) {
  const std::string before = read_file(path);
  bool finished = false;
  for (std::uint64_t at = 0; !finished; at += stride) {
    write_file(path, before);
    Mutator mutator(11, held);
    {
      auto file = HostFile::open(path, Access::kReadWrite);
      ASSERT_TRUE(file);
      auto dying = std::make_unique<DyingFile>(std::move(*file), at);
      DyingFile& handle = *dying;
      auto image = Image::open(std::move(dying), Access::kReadWrite);
      ASSERT_TRUE(image);
      Qcow2Disk disk(std::move(*image), Access::kReadWrite, "");
      for (int i = 0; i < steps && !handle.dead(); ++i) static_cast<void>(mutator.step(disk));
      finished = !handle.dead();
    }
    expect_promises_kept(path, mutator, at);
    if (have_qemu()) {
      const Findings findings = check(path);
      ASSERT_FALSE(findings.errors) << "killed at " << at << "\n" << findings.output;
    }
    // And it goes on from there.
    auto disk = Qcow2Disk::open(path, {});
    ASSERT_TRUE(disk);
    Mutator again(12, read_all(**disk));
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(again.step(**disk));
    ASSERT_TRUE(read_all(**disk) == again.model());
  }
}

TEST(Qcow2Kill, LeavesAtWorstLeaks) {
  const Place place;
  const Shape shape{.size = 2 << 20};
  write_file(place / "disk", empty_image(shape));
  kill_everywhere(place / "disk", std::string(shape.size, '\0'), 1, 16);
}

TEST(Qcow2Kill, AlsoInSmallClusters) {
  const Place place;
  const Shape shape{.size = 1 << 20, .version = 2, .cluster_bits = 9};
  write_file(place / "disk", empty_image(shape));
  kill_everywhere(place / "disk", std::string(shape.size, '\0'), 17, 30);
}

// 64 clusters a block and 64 blocks a table: 2 MiB of the file are counted before the table grows.
TEST(Qcow2Kill, AlsoWhileTheRefcountTableGrows) {
  const Place place;
  const Shape shape{.size = 3 << 20, .cluster_bits = 9, .refcount_order = 6};
  write_file(place / "disk", empty_image(shape));
  std::string held(shape.size, '\0');
  {
    auto disk = Qcow2Disk::open(place / "disk", {});
    ASSERT_TRUE(disk);
    held.replace(1 << 20, 1970 << 10, std::string(1970 << 10, 'x'));
    std::string bytes(1970 << 10, 'x');
    ASSERT_TRUE(submit(**disk, Op::kWrite, 1 << 20, bytes));
  }
  const std::string before = read_file(place / "disk").substr(48, 12);
  kill_everywhere(place / "disk", held, 11, 20);
  EXPECT_NE(read_file(place / "disk").substr(48, 12), before) << "the table did not grow";
}

TEST(Qcow2Kill, AlsoWithASnapshot) {
  if (!have_qemu()) GTEST_SKIP() << "qemu-img (package qemu-utils) is not installed";
  const Place place;
  const Shape shape{.size = 2 << 20, .cluster_bits = 12};
  write_file(place / "disk", empty_image(shape));
  Mutator mutator(13, std::string(shape.size, '\0'));
  {
    auto disk = Qcow2Disk::open(place / "disk", {});
    ASSERT_TRUE(disk);
    for (int i = 0; i < 30; ++i) ASSERT_TRUE(mutator.step(**disk));
  }
  must_run("qemu-img snapshot -c one " + (place / "disk"));
  kill_everywhere(place / "disk", mutator.model(), 7, 25);
}

}  // namespace
}  // namespace mote::storage::qcow2::test
