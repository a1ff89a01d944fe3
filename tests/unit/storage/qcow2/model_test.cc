// Random changes, checked against a model in memory, and against qemu-img where that is installed.
#include <gtest/gtest.h>

#include "storage/qcow2/support.h"

namespace mote::storage::qcow2::test {
namespace {

constexpr int kSteps = 160;

std::unique_ptr<Qcow2Disk> open(const std::string& path, bool backing_files = false) {
  auto disk = Qcow2Disk::open(path, {.backing_files = backing_files});
  EXPECT_TRUE(disk) << disk.error().text();
  return disk ? std::move(*disk) : nullptr;
}

// Half of the changes before the image is opened again, half after.
void mutate_and_check(const std::string& path, std::string held, std::uint32_t seed,
                      bool may_leak = false) {
  Mutator mutator(seed, std::move(held));
  for (int round = 0; round < 2; ++round) {
    auto disk = open(path, true);
    ASSERT_TRUE(disk);
    ASSERT_TRUE(read_all(*disk) == mutator.model()) << "seed " << seed << ", round " << round;
    for (int i = 0; i < kSteps / 2; ++i) ASSERT_TRUE(mutator.step(*disk)) << "step " << i;
    ASSERT_TRUE(read_all(*disk) == mutator.model()) << "seed " << seed << ", round " << round;
  }
  if (!have_qemu()) return;
  const Findings findings = check(path);
  EXPECT_FALSE(findings.errors) << findings.output;
  if (!may_leak) EXPECT_FALSE(findings.leaks) << findings.output;
  write_file(path + ".model", mutator.model());
  must_run("qemu-img compare -f qcow2 -F raw " + path + " " + path + ".model");
}

class Qcow2Model : public ::testing::TestWithParam<Shape> {};

TEST_P(Qcow2Model, HoldsWhatWasWritten) {
  const Place place;
  write_file(place / "disk", empty_image(GetParam()));
  mutate_and_check(place / "disk", std::string(GetParam().size, '\0'), 1);
}

constexpr std::uint64_t kMiB = 1 << 20;
INSTANTIATE_TEST_SUITE_P(
    Shapes, Qcow2Model,
    ::testing::Values(Shape{}, Shape{.version = 2}, Shape{.size = 4 * kMiB, .cluster_bits = 9},
                      Shape{.size = 3 * kMiB, .version = 2, .cluster_bits = 9},
                      Shape{.size = 3 * kMiB, .cluster_bits = 9, .refcount_order = 6},
                      Shape{.size = 8 * kMiB + 512, .cluster_bits = 12, .refcount_order = 0},
                      Shape{.size = 8 * kMiB, .cluster_bits = 12, .refcount_order = 1},
                      Shape{.size = 8 * kMiB, .cluster_bits = 12, .refcount_order = 2},
                      Shape{.size = 8 * kMiB, .cluster_bits = 12, .refcount_order = 3},
                      Shape{.size = 8 * kMiB, .cluster_bits = 16, .refcount_order = 5},
                      Shape{.size = 8 * kMiB, .cluster_bits = 16, .refcount_order = 6},
                      Shape{.size = 9 * kMiB, .cluster_bits = 21, .refcount_order = 0},
                      Shape{.size = 9 * kMiB + 1024, .cluster_bits = 21}),
    [](const auto& info) {
      const Shape& shape = info.param;
      return "v" + std::to_string(shape.version) + "c" + std::to_string(shape.cluster_bits) + "r" +
             std::to_string(shape.refcount_order) + "s" + std::to_string(shape.size >> 9);
    });

// Data by io_uring, many requests at once: each finds its own clusters, whatever the others make of
// the tables meanwhile.
TEST(Qcow2Uring, ManyAtOnce) {
  const Place place;
  const Shape shape{.size = 4 << 20, .cluster_bits = 12};
  write_file(place / "disk", empty_image(shape));
  const auto loop = std::move(*EventLoop::create());
  auto disk = Qcow2Disk::open(place / "disk", {.engine = Engine::kUring}, loop.get());
  ASSERT_TRUE(disk) << disk.error().text();
  std::string model(shape.size, '\0');
  std::mt19937 random(31);
  for (int round = 0; round < 60; ++round) {
    // A batch of writes and discards, each in its own part of the disk.
    std::vector<std::string> data(16);
    int done = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
      const std::uint64_t part = shape.size / data.size();
      const std::uint64_t offset = i * part + random() % 256 * kSectorSize;
      const std::uint64_t length = (1 + random() % 64) * kSectorSize;
      const auto finished = [&done](const DiskRequest&, const Result<void>& result) {
        EXPECT_TRUE(result) << result.error().text();
        ++done;
      };
      if (random() % 4 == 0) {
        model.replace(offset, length, length, '\0');
        (*disk)->submit({.op = Op::kWriteZeroes,
                         .offset = offset,
                         .length = length,
                         .may_unmap = true,
                         .buffers = {}},
                        finished);
      } else {
        data[i] = std::string(length, static_cast<char>(random()));
        model.replace(offset, length, data[i]);
        (*disk)->submit({.op = Op::kWrite, .offset = offset, .buffers = {{data[i].data(), length}}},
                        finished);
      }
    }
    (*disk)->commit();
    (*disk)->drain();
    ASSERT_EQ(done, 16);
  }
  EXPECT_TRUE(read_all(**disk) == model);
  disk->reset();
  EXPECT_TRUE(read_all(*open(place / "disk")) == model);
  if (!have_qemu()) return;
  const Findings findings = check(place / "disk");
  EXPECT_FALSE(findings.errors || findings.leaks) << findings.output;
}

// Images that qemu-img made.
struct Made {
  const char* name;
  const char* options;            // of qemu-img
  const char* convert = nullptr;  // of qemu-img convert, from a raw disk that is not empty
};

class Qcow2Made : public ::testing::TestWithParam<Made> {
 protected:
  void SetUp() override {
    if (!have_qemu()) GTEST_SKIP() << "qemu-img and qemu-io (package qemu-utils) are not installed";
    // Something everywhere, something that compresses, something that is nothing.
    held_.resize(kSize);
    for (std::size_t i = 0; i < kSize; ++i) {
      if (i % (1 << 20) < (300 << 10)) held_[i] = static_cast<char>((i >> 9) * 7 + (i >> 20));
    }
    for (std::size_t i = 0; i < 100000; ++i) held_[i + 5000] = static_cast<char>(random_());
    write_file(place_ / "raw", held_);
  }
  static constexpr std::size_t kSize = 3 << 20;
  const Place place_;
  std::mt19937 random_{7};
  std::string held_;
};

TEST_P(Qcow2Made, IsReadAndChanged) {
  const Made& made = GetParam();
  must_run(std::string("qemu-img convert -f raw -O qcow2 ") + (made.convert ? made.convert : "") +
           " -o " + made.options + " " + (place_ / "raw") + " " + (place_ / "disk"));
  mutate_and_check(place_ / "disk", held_, 2);
}

TEST_P(Qcow2Made, IsABackingFile) {
  const Made& made = GetParam();
  must_run(std::string("qemu-img convert -f raw -O qcow2 ") + (made.convert ? made.convert : "") +
           " -o " + made.options + " " + (place_ / "raw") + " " + (place_ / "base"));
  const std::string before = read_file(place_ / "base");
  for (const char* version : {"1.1", "0.10"}) {
    // Larger than what it is laid over, and named from its own directory.
    must_run("qemu-img create -f qcow2 -o compat=" + std::string(version) + " -b base -F qcow2 " +
             (place_ / "disk") + " 4M");
    mutate_and_check(place_ / "disk", held_ + std::string(1 << 20, '\0'), 3);
  }
  EXPECT_TRUE(read_file(place_ / "base") == before);
}

INSTANTIATE_TEST_SUITE_P(
    ByQemu, Qcow2Made,
    ::testing::Values(
        Made{"Plain", "compat=1.1"}, Made{"Version2", "compat=0.10"},
        Made{"Zlib", "compression_type=zlib", "-c"}, Made{"ZlibSmall", "cluster_size=4k", "-c"},
        Made{"ZlibLarge", "cluster_size=2M", "-c"}, Made{"ZlibSmallest", "cluster_size=512", "-c"},
        Made{"Version2Zlib", "compat=0.10", "-c"}, Made{"Zstd", "compression_type=zstd", "-c"},
        Made{"ZstdSmall", "compression_type=zstd,cluster_size=4k", "-c"},
        Made{"ZstdLarge", "compression_type=zstd,cluster_size=2M", "-c"},
        Made{"Small", "cluster_size=512"}, Made{"Large", "cluster_size=2M"},
        Made{"Refcount1", "refcount_bits=1"}, Made{"Refcount64", "refcount_bits=64"},
        Made{"Lazy", "lazy_refcounts=on"}, Made{"Metadata", "preallocation=metadata"},
        Made{"Falloc", "preallocation=falloc"}),
    [](const auto& info) { return info.param.name; });

using Qcow2Images = Qcow2Made;

TEST_P(Qcow2Images, WithARawBackingFile) {
  must_run("qemu-img create -f qcow2 -b raw -F raw -o " + std::string(GetParam().options) + " " +
           (place_ / "disk"));
  mutate_and_check(place_ / "disk", held_, 4);
  EXPECT_TRUE(read_file(place_ / "raw") == held_);
}

// What a snapshot holds stays as it was, whatever is written afterwards.
TEST_P(Qcow2Images, WithSnapshots) {
  must_run("qemu-img convert -f raw -O qcow2 -o " + std::string(GetParam().options) + " " +
           (place_ / "raw") + " " + (place_ / "disk"));
  must_run("qemu-img snapshot -c one " + (place_ / "disk"));
  mutate_and_check(place_ / "disk", held_, 5);
  must_run("qemu-img convert -f qcow2 -l one -O raw " + (place_ / "disk") + " " +
           (place_ / "then"));
  EXPECT_TRUE(read_file(place_ / "then") == held_);
  must_run("qemu-img snapshot -d one " + (place_ / "disk"));
  const Findings findings = check(place_ / "disk");
  EXPECT_FALSE(findings.errors || findings.leaks) << findings.output;
}

INSTANTIATE_TEST_SUITE_P(ByQemu, Qcow2Images,
                         ::testing::Values(Made{"Version3", "compat=1.1"},
                                           Made{"Version2", "compat=0.10"},
                                           Made{"Small", "cluster_size=512"}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace mote::storage::qcow2::test
