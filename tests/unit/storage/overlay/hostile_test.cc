// A layer that was cut off, damaged, or written by somebody who means harm.
#include <filesystem>

#include "base/checksum.h"
#include "storage/overlay/header.h"
#include "storage/overlay/page_pair.h"
#include "storage/overlay/support.h"

namespace mote::storage::overlay::test {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

void flip(const std::string& path, std::size_t at) {
  std::string bytes = read_file(path);
  bytes[at] = static_cast<char>(bytes[at] ^ 0x41);
  write_file(path, bytes);
}

// A page of the file with what `change` makes of it, its checksum right.
template <typename Change>
void forge(const std::string& path, std::size_t at, Change change) {
  std::string bytes = read_file(path);
  RawPage page{};
  std::memcpy(&page, bytes.data() + at, sizeof page);
  change(page);
  page.checksum = checksum(std::as_bytes(std::span(&page, 1)).subspan(offsetof(RawPage, sequence)));
  std::memcpy(bytes.data() + at, &page, sizeof page);
  write_file(path, bytes);
}

TEST(OverlayHostile, EveryByteOfTheHeaderCounts) {
  const Made made(pattern(kMiB));
  const std::string sound = read_file(made.top);
  for (std::size_t at = 0; at < kPage; at += at < 160 ? 1 : 97) {
    flip(made.top, at);
    EXPECT_FALSE(made.open()) << at;
    write_file(made.top, sound);
  }
  EXPECT_TRUE(made.open());
}

TEST(OverlayHostile, CutOffAnywhere) {
  const Made made(pattern(kMiB));
  {
    auto disk = made.open();
    std::string bytes(kMiB, 'w');
    ASSERT_TRUE(submit(**disk, Op::kWrite, 0, bytes));
  }
  const std::uint64_t size = std::filesystem::file_size(made.top);
  for (std::uint64_t at = 0; at < size; at += at < 3 * kPage ? 511 : 65537) {
    std::filesystem::resize_file(made.top, at);
    EXPECT_FALSE(made.open()) << at;
  }
}

TEST(OverlayHostile, AHeaderThatLiesIsRefused) {
  const Made made(pattern(kMiB));
  const std::string sound = read_file(made.top);
  const auto refused = [&](auto change) {
    forge(made.top, 0, [&](RawPage& page) {
      auto header = from_payload(page.payload);
      ASSERT_TRUE(header);
      change(*header);
      page.payload = to_payload(*header);
    });
    const bool opened = made.open().has_value();
    write_file(made.top, sound);
    return !opened;
  };
  EXPECT_FALSE(refused([](Header&) {}));
  EXPECT_TRUE(refused([](Header& header) { header.cluster_bits = 0; }));
  EXPECT_TRUE(refused([](Header& header) { header.cluster_bits = 17; }));
  EXPECT_TRUE(refused([](Header& header) { header.cluster_bits = 64; }));
  EXPECT_TRUE(refused([](Header& header) { header.size = 0; }));
  EXPECT_TRUE(refused([](Header& header) { header.size = 513; }));
  EXPECT_TRUE(refused([](Header& header) { header.size = UINT64_MAX - 511; }));
  EXPECT_TRUE(refused([](Header& header) { header.size = std::uint64_t{1} << 40; }));
  EXPECT_TRUE(refused([](Header& header) { header.use = Use::kSealed; }));
  EXPECT_TRUE(refused([](Header& header) { header.use = Use{7}; }));
  EXPECT_TRUE(refused([](Header& header) { header.below.kind = Below::kLayer; }));
  EXPECT_TRUE(refused([](Header& header) { header.below.kind = Below{9}; }));
  EXPECT_TRUE(refused([](Header& header) { header.below.size += 512; }));
  EXPECT_TRUE(refused([](Header& header) { header.below.id[3] ^= 1; }));
  const auto page_refused = [&](auto change) {
    forge(made.top, 0, change);
    const bool opened = made.open().has_value();
    write_file(made.top, sound);
    return !opened;
  };
  EXPECT_TRUE(page_refused([](RawPage& page) { page.payload[0] = 2; })) << "a later version";
  EXPECT_TRUE(page_refused([](RawPage& page) { page.payload[100] = 1; }));
  EXPECT_TRUE(page_refused([](RawPage& page) { page.sequence = UINT64_MAX; }));
  EXPECT_TRUE(page_refused([](RawPage& page) { page.number = 1; }));
  EXPECT_TRUE(page_refused([](RawPage& page) { page.magic[0] = 'M'; }));
}

// The older copy counts, as if the newer had been cut short; without a whole one, the guest gets
// errors there and nowhere else, and never what is below.
TEST(OverlayHostile, ADamagedMapIsNotBelieved) {
  Made made(pattern(300 * kMiB), 0, 12);
  std::string bytes(4096, 'w');
  {
    auto disk = made.open();
    for (const std::uint64_t at : {0, 4096}) ASSERT_TRUE(submit(**disk, Op::kWrite, at, bytes));
  }
  const std::size_t map = 2 * kPage;
  flip(made.top, map + kPage + 40);
  {
    auto disk = made.open(Access::kReadOnly);
    ASSERT_TRUE(disk);
    ASSERT_TRUE(submit(**disk, Op::kRead, 0, bytes));
    EXPECT_EQ(bytes, std::string(4096, 'w')) << "the older copy has it";
  }
  flip(made.top, map + 40);
  auto disk = made.open();
  ASSERT_TRUE(disk);
  const auto read = submit(**disk, Op::kRead, 0, bytes);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kIo);
  EXPECT_FALSE(submit(**disk, Op::kWrite, 0, bytes));
  EXPECT_FALSE(submit_range(**disk, Op::kWriteZeroes, 0, 8192));
  EXPECT_TRUE(submit(**disk, Op::kRead, 200 * kMiB, bytes)) << "another page";
  EXPECT_TRUE(submit(**disk, Op::kWrite, 200 * kMiB, bytes));
}

// A first page that was cut short was the first one: what is below is right.
TEST(OverlayHostile, AFirstPageThatWasCutShort) {
  const Made made(pattern(kMiB));
  std::string bytes = read_file(made.top);
  bytes.replace(2 * kPage, 512, std::string(512, 'g'));
  write_file(made.top, bytes);
  auto disk = made.open();
  ASSERT_TRUE(disk);
  EXPECT_TRUE(read_all(**disk) == pattern(kMiB));
  Mutator mutator(3, pattern(kMiB));
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(mutator.step(**disk));
  disk->reset();
  disk = made.open();
  EXPECT_TRUE(read_all(**disk) == mutator.model());
}

// Any map is a map: nothing that it says leads out of the clusters' own places.
TEST(OverlayHostile, AnyBitsAreBits) {
  const Made made(pattern(kMiB));
  {
    auto disk = made.open();
    std::string bytes(512, 'w');
    ASSERT_TRUE(submit(**disk, Op::kWrite, 0, bytes));
  }
  std::mt19937_64 random(3);
  for (int i = 0; i < 20; ++i) {
    forge(made.top, 2 * kPage, [&](RawPage& page) {
      for (std::uint64_t& word : page.payload) word = random();
    });
    const std::string header = read_file(made.top).substr(0, 4 * kPage);
    auto disk = made.open();
    ASSERT_TRUE(disk) << disk.error().text();
    Mutator mutator(static_cast<std::uint32_t>(i), read_all(**disk));
    for (int step = 0; step < 30; ++step) ASSERT_TRUE(mutator.step(**disk));
    disk->reset();
    EXPECT_TRUE(read_file(made.top).substr(0, kPage) == header.substr(0, kPage));
  }
}

}  // namespace
}  // namespace mote::storage::overlay::test
