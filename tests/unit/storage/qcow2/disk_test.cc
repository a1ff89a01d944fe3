// How an image is opened: alone, and over others.
#include "storage/qcow2/disk.h"

#include <gtest/gtest.h>

#include "storage/qcow2/support.h"

namespace mote::storage::qcow2::test {
namespace {

// An empty image that names a backing file.
std::string over(const std::string& name, const std::string& format, std::uint64_t size = 1 << 20) {
  std::string image = empty_image({.size = size, .cluster_bits = 12});
  const std::span<std::byte> bytes(reinterpret_cast<std::byte*>(image.data()), image.size());
  store<std::uint64_t>(bytes, 8, 1024);
  store<std::uint32_t>(bytes, 16, static_cast<std::uint32_t>(name.size()));
  image.replace(1024, name.size(), name);
  if (!format.empty()) {
    store<std::uint32_t>(bytes, 104, 0xe2792aca);
    store<std::uint32_t>(bytes, 108, static_cast<std::uint32_t>(format.size()));
    image.replace(112, format.size(), format);
  }
  return image;
}

void expect_refused(const std::string& path, const Options& options, const std::string& complaint) {
  const auto disk = Qcow2Disk::open(path, options);
  ASSERT_FALSE(disk) << complaint;
  EXPECT_NE(disk.error().text().find(complaint), std::string::npos) << disk.error().text();
}

constexpr Options kBacked{.backing_files = true};

TEST(Qcow2Disk, SaysWhatItIs) {
  const Place place;
  write_file(place / "disk", empty_image({.size = (1 << 20) + 700, .cluster_bits = 12}));
  const auto disk = Qcow2Disk::open(place / "disk", {});
  ASSERT_TRUE(disk);
  EXPECT_EQ((*disk)->size(), (1U << 20) + 512);
  EXPECT_FALSE((*disk)->read_only());
  EXPECT_TRUE((*disk)->traits().can_discard);
  EXPECT_EQ((*disk)->traits().discard_granularity, 4096U);
  EXPECT_FALSE((*disk)->identity().empty());
  const auto same = Qcow2Disk::open(place / "disk", {.access = Access::kReadOnly});
  ASSERT_TRUE(same);
  EXPECT_EQ((*same)->identity(), (*disk)->identity());
  EXPECT_FALSE((*same)->traits().can_discard);
}

TEST(Qcow2Disk, ADiskOfNothingIsOne) {
  const Place place;
  write_file(place / "disk", empty_image({.size = 0}));
  const auto disk = Qcow2Disk::open(place / "disk", {});
  ASSERT_TRUE(disk) << disk.error().text();
  EXPECT_EQ((*disk)->size(), 0U);
}

TEST(Qcow2Disk, ARawFileIsNoImage) {
  const Place place;
  write_file(place / "raw", std::string(1 << 20, 'x'));
  expect_refused(place / "raw", {}, "no qcow2 image");
  write_file(place / "small", "QFI\xfb");
  expect_refused(place / "small", {}, "no qcow2 image");
  expect_refused(place / "nothing", {}, "No such file");
  expect_refused("/dev/null", {}, "a character device");
}

TEST(Qcow2Disk, DirtyAndCorruptImagesAreReadOnly) {
  const Place place;
  for (const auto& [bit, name] :
       {std::pair(kDirtyBit, "dirty"), std::pair(kCorruptBit, "corrupt")}) {
    std::string image = empty_image({.size = 1 << 20});
    image[79] = static_cast<char>(1U << bit);
    write_file(place / "disk", image);
    expect_refused(place / "disk", {}, name);
    const auto disk = Qcow2Disk::open(place / "disk", {.access = Access::kReadOnly});
    ASSERT_TRUE(disk) << disk.error().text();
    EXPECT_TRUE(read_all(**disk) == std::string(1 << 20, '\0'));
  }
}

TEST(Qcow2Disk, TablesThatOverlapAreNotWritten) {
  const Place place;
  std::string image = empty_image({.size = 1 << 20, .cluster_bits = 12});
  image.replace(40, 8, image.substr(48, 8));  // the L1 table is the refcount table
  write_file(place / "disk", image);
  expect_refused(place / "disk", {}, "overlap");
}

TEST(Qcow2Disk, ABackingFileNeedsLeave) {
  const Place place;
  write_file(place / "secret", std::string(1 << 20, 's'));
  write_file(place / "disk", over("secret", "raw"));
  expect_refused(place / "disk", {}, "backing_files");
  const auto disk = Qcow2Disk::open(place / "disk", kBacked);
  ASSERT_TRUE(disk) << disk.error().text();
  EXPECT_TRUE(read_all(**disk) == std::string(1 << 20, 's'));
}

TEST(Qcow2Disk, ABackingFilesFormatIsNotGuessed) {
  const Place place;
  write_file(place / "base", empty_image({.size = 1 << 20}));
  write_file(place / "disk", over("base", ""));
  expect_refused(place / "disk", kBacked, "not guessed");
  write_file(place / "disk", over("base", "vmdk"));
  expect_refused(place / "disk", kBacked, "'vmdk'");
  // Said to be raw, its bytes are what is read, also when they look like an image.
  write_file(place / "disk", over("base", "raw"));
  const auto disk = Qcow2Disk::open(place / "disk", kBacked);
  ASSERT_TRUE(disk);
  EXPECT_EQ(read_all(**disk).substr(0, 4), "QFI\xfb");
}

TEST(Qcow2Disk, ABackingFileIsAPath) {
  const Place place;
  for (const char* name : {"nbd://host/disk", "json:{\"driver\":\"file\"}", "file:base"}) {
    write_file(place / "disk", over(name, "raw"));
    expect_refused(place / "disk", kBacked, "not a path");
  }
  write_file(place / "disk", over("/dev/zero", "raw"));
  expect_refused(place / "disk", kBacked, "a character device");
  write_file(place / "disk", over("nothing", "raw"));
  expect_refused(place / "disk", kBacked, "No such file");
  write_file(place / "odd:name", std::string(512, 'o'));
  write_file(place / "disk", over("./odd:name", "raw"));
  EXPECT_TRUE(Qcow2Disk::open(place / "disk", kBacked));
}

TEST(Qcow2Disk, ABackingFileMayBeShortOrOdd) {
  const Place place;
  write_file(place / "base", std::string(1000, 'b'));
  write_file(place / "disk", over("base", "raw"));
  const auto disk = Qcow2Disk::open(place / "disk", kBacked);
  ASSERT_TRUE(disk);
  EXPECT_TRUE(read_all(**disk) == std::string(1000, 'b') + std::string((1 << 20) - 1000, '\0'));
}

TEST(Qcow2Disk, ALoopOfBackingFilesIsRefused) {
  const Place place;
  write_file(place / "a", over("b", "qcow2"));
  write_file(place / "b", over("c", "qcow2"));
  write_file(place / "c", over("a", "qcow2"));
  expect_refused(place / "a", kBacked, "its own backing file");
  write_file(place / "self", over("self", "qcow2"));
  expect_refused(place / "self", kBacked, "its own backing file");
  // Also as raw bytes, which the image that is written would change.
  write_file(place / "self", over("self", "raw"));
  expect_refused(place / "self", kBacked, "its own backing file");
}

TEST(Qcow2Disk, LayersAreCounted) {
  const Place place;
  write_file(place / "0", empty_image({.size = 1 << 20}));
  for (std::size_t i = 1; i <= kMostLayers; ++i) {
    write_file(place / std::to_string(i), over(std::to_string(i - 1), "qcow2"));
  }
  EXPECT_TRUE(Qcow2Disk::open(place / std::to_string(kMostLayers - 1), kBacked));
  expect_refused(place / std::to_string(kMostLayers), kBacked, "are the most");
}

// Bitmaps are trusted for as long as their bit is set, and would be wrong after a write.
TEST(Qcow2Disk, AutoclearBitsGoWithTheFirstChange) {
  const Place place;
  std::string image = empty_image({.size = 1 << 20, .cluster_bits = 12});
  image[95] = 1;
  write_file(place / "disk", image);
  std::string bytes(512, 'x');
  {
    const auto disk = Qcow2Disk::open(place / "disk", {});
    ASSERT_TRUE(disk);
    ASSERT_TRUE(submit(**disk, Op::kRead, 0, bytes));
    EXPECT_EQ(read_file(place / "disk")[95], 1);
    ASSERT_TRUE(submit(**disk, Op::kWrite, 0, bytes));
  }
  EXPECT_EQ(read_file(place / "disk")[95], 0);
}

TEST(Qcow2Disk, DiscardGivesRoomBack) {
  const Place place;
  write_file(place / "disk", empty_image({.size = 8 << 20}));
  const auto disk = Qcow2Disk::open(place / "disk", {});
  ASSERT_TRUE(disk);
  std::string bytes(4 << 20, 'x');
  ASSERT_TRUE(submit(**disk, Op::kWrite, 0, bytes));
  const auto room = [&place] {
    const Outcome du = run("du -k " + (place / "disk"));
    return std::stoul(du.output);
  };
  const std::size_t full = std::filesystem::file_size(place / "disk");
  EXPECT_GE(room(), 4096U);
  ASSERT_TRUE(submit_range(**disk, Op::kDiscard, 0, 4 << 20));
  EXPECT_LT(room(), 1024U);
  EXPECT_TRUE(read_all(**disk) == std::string(8 << 20, '\0'));
  // And the room is used again, in place.
  ASSERT_TRUE(submit(**disk, Op::kWrite, 4 << 20, bytes));
  EXPECT_EQ(std::filesystem::file_size(place / "disk"), full);
}

}  // namespace
}  // namespace mote::storage::qcow2::test
