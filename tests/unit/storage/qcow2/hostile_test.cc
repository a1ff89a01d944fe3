// Images that lie: an error, or an answer, but never a crash, a flood of memory, a file that grows
// without end, or guest data in the header.
#include <gtest/gtest.h>

#include "base/log.h"
#include "storage/qcow2/support.h"

namespace mote::storage::qcow2::test {
namespace {

constexpr std::uint64_t kDiskSize = 1 << 20;
// What of the header an image keeps for ever: all but where its refcount table is, and what
// autoclear says.
void expect_header_kept(const std::string& before, const std::string& after) {
  for (std::size_t i = 0; i < 104; ++i) {
    const bool may_change = (i >= 48 && i < 60) || (i >= 88 && i < 96);
    if (!may_change) EXPECT_EQ(before[i], after[i]) << "byte " << i << " of the header";
  }
}

// Opens what may be no image, and does what a guest does.
bool poke(const std::string& path, std::uint32_t seed) {
  const std::string before = read_file(path);
  bool opened = false;
  log::configure({.level = log::Level::kOff});
  for (const Access access : {Access::kReadOnly, Access::kReadWrite}) {
    auto disk = Qcow2Disk::open(path, {.access = access});
    if (!disk) {
      EXPECT_FALSE(disk.error().text().empty());
      continue;
    }
    opened = true;
    if ((*disk)->size() == 0) continue;
    Mutator mutator(seed, "");
    for (int i = 0; i < 16; ++i) mutator.poke(**disk);
    std::string bytes(4096, 'x');
    static_cast<void>(submit(**disk, Op::kWrite, (*disk)->size() - 4096, bytes));
  }
  EXPECT_LT(std::filesystem::file_size(path), 64U << 20) << "seed " << seed;
  if (opened) expect_header_kept(before, read_file(path));
  return opened;
}

// Where an image of ours keeps its tables, by their clusters.
std::vector<std::uint64_t> table_offsets(const std::string& image, std::uint64_t cluster) {
  std::vector<std::uint64_t> offsets{0, cluster, 2 * cluster, 3 * cluster};
  const std::span<const std::byte> bytes = std::as_bytes(std::span(image));
  for (std::uint64_t i = 0; i < cluster; i += kEntrySize) {
    const auto l2 = load<std::uint64_t>(bytes, 3 * cluster + i) & kOffsetMask;
    if (l2 != 0) offsets.push_back(l2);
  }
  return offsets;
}

std::string filled_image(const std::string& path, const Shape& shape) {
  write_file(path, empty_image(shape));
  auto disk = Qcow2Disk::open(path, {});
  EXPECT_TRUE(disk);
  Mutator mutator(21, std::string(shape.size, '\0'));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(mutator.step(**disk));
  disk->reset();
  return read_file(path);
}

void flip(const Shape& shape, int images) {
  const Place place;
  const std::string path = place / "disk";
  const std::string good = filled_image(path, shape);
  const std::uint64_t cluster = std::uint64_t{1} << shape.cluster_bits;
  const auto tables = table_offsets(good, cluster);
  int opened = 0;
  for (int i = 0; i < images; ++i) {
    std::mt19937 random(static_cast<std::uint32_t>(i));
    std::string bad = good;
    for (std::uint32_t flips = 1 + random() % 4; flips > 0; --flips) {
      const std::uint64_t table = tables[random() % tables.size()];
      // Near its start, where something is.
      const std::uint64_t at = table + random() % (random() % 2 == 0 ? 112 : cluster);
      const std::array<char, 4> values{static_cast<char>(random()), '\0', '\xff',
                                       static_cast<char>(bad[at] ^ (1 << random() % 8))};
      bad[at] = values[random() % values.size()];
    }
    write_file(path, bad);
    if (poke(path, static_cast<std::uint32_t>(i))) ++opened;
    if (::testing::Test::HasFailure()) FAIL() << "image " << i;
  }
  // Some of each, or the test shows nothing.
  EXPECT_GT(opened, images / 10);
  EXPECT_LT(opened, images);
}

TEST(Qcow2Hostile, FlippedBytes) { flip({.size = kDiskSize, .cluster_bits = 12}, 200); }
TEST(Qcow2Hostile, FlippedBytesOfSmallClusters) {
  flip({.size = kDiskSize, .version = 2, .cluster_bits = 9}, 120);
}
TEST(Qcow2Hostile, FlippedBytesOfRefcountsOfABit) {
  flip({.size = kDiskSize, .cluster_bits = 12, .refcount_order = 0}, 60);
}

TEST(Qcow2Hostile, CutShort) {
  const Place place;
  const std::string path = place / "disk";
  const std::string good = filled_image(path, {.size = kDiskSize, .cluster_bits = 12});
  for (std::size_t size = 0; size < good.size(); size += size < 256 ? 7 : 9001) {
    write_file(path, good.substr(0, size));
    poke(path, 1);
  }
}

// Every L2 entry, in turn, points to where the image keeps its tables.
TEST(Qcow2Hostile, DataWhereTheTablesAre) {
  const Place place;
  const std::string path = place / "disk";
  const Shape shape{.size = kDiskSize, .cluster_bits = 12};
  const std::string good = filled_image(path, shape);
  const auto tables = table_offsets(good, 4096);
  ASSERT_GT(tables.size(), 4U);
  for (const std::uint64_t target : {std::uint64_t{0}, tables[1], tables[3]}) {
    std::string bad = good;
    const std::span<std::byte> bytes(reinterpret_cast<std::byte*>(bad.data()), bad.size());
    for (std::uint64_t i = 0; i < 4096; i += kEntrySize) {
      // The header cannot be named by an offset of 0, which is none, but by one inside of it.
      store<std::uint64_t>(bytes, tables[4] + i, (target == 0 ? 512 : target) | kCopied);
    }
    write_file(path, bad);
    auto disk = Qcow2Disk::open(path, {});
    ASSERT_TRUE(disk);
    std::string data(4096, 'x');
    EXPECT_FALSE(submit(**disk, Op::kWrite, 0, data)) << target;
    EXPECT_FALSE(submit(**disk, Op::kRead, 0, data)) << target;
    EXPECT_TRUE(read_file(path).substr(target, 4096) == bad.substr(target, 4096));
  }
}

// Refcounts that call the tables free get nothing into them.
TEST(Qcow2Hostile, RefcountsThatAreAllZero) {
  const Place place;
  const std::string path = place / "disk";
  std::string image = empty_image({.size = kDiskSize, .cluster_bits = 12});
  image.replace(2 * 4096, 4096, 4096, '\0');
  write_file(path, image);
  auto disk = Qcow2Disk::open(path, {});
  ASSERT_TRUE(disk);
  std::string data(64 << 10, 'x');
  ASSERT_TRUE(submit(**disk, Op::kWrite, 0, data));
  expect_header_kept(image, read_file(path));
  EXPECT_TRUE(read_all(**disk) == data + std::string(kDiskSize - data.size(), '\0'));
}

// A refcount table whose every entry is a block in which nothing is free.
TEST(Qcow2Hostile, NothingIsFree) {
  const Place place;
  const std::string path = place / "disk";
  std::string image = empty_image({.size = kDiskSize, .cluster_bits = 12});
  image.replace(2 * 4096, 4096, 4096, '\x01');
  for (std::uint64_t i = 0; i < 512; ++i) image.replace(4096 + i * 8, 8, image.substr(4096, 8));
  write_file(path, image);
  auto disk = Qcow2Disk::open(path, {});
  ASSERT_TRUE(disk);
  std::string data(4096, 'x');
  static_cast<void>(submit(**disk, Op::kWrite, 0, data));
  EXPECT_LT(std::filesystem::file_size(path), std::uint64_t{8} << 30);
}

}  // namespace
}  // namespace mote::storage::qcow2::test
