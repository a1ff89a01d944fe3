#include "memory/guest_memory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "temp_dir.h"

namespace mote::memory {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kMib = 1 << 20;
constexpr GuestAddress kHigh = std::uint64_t{4} << 30;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

GuestMemory make(bool tracked = false) {
  auto memory = GuestMemory::create(
      {.ranges = {{0, kMib}, {kMib, kMib}, {kHigh, 2 * kMib}}, .track_dirty_pages = tracked});
  EXPECT_TRUE(memory) << memory.error().text();
  return std::move(*memory);
}

std::string error_of(std::vector<Range> ranges, Backing backing = Backing::kAnonymous) {
  const auto memory = GuestMemory::create({.ranges = std::move(ranges), .backing = backing});
  return memory ? "no error" : memory.error().text();
}

TEST(GuestMemory, RefusesRangesThatMakeNoSense) {
  EXPECT_EQ(error_of({}), "guest memory has no range");
  EXPECT_THAT(error_of({{0, 0}}), HasSubstr("must start and end at a multiple of 4096"));
  EXPECT_THAT(error_of({{1, 4096}}), HasSubstr("multiple of 4096"));
  EXPECT_THAT(error_of({{0, 4097}}), HasSubstr("multiple of 4096"));
  EXPECT_THAT(error_of({{0, kMib}}, Backing::kHugetlb2M), HasSubstr("multiple of 2097152"));
  EXPECT_THAT(error_of({{0, 8192}, {4096, 4096}}), HasSubstr("overlaps"));
  EXPECT_THAT(error_of({{8192, 4096}, {0, 4096}}), HasSubstr("overlaps"));
  EXPECT_THAT(error_of({{UINT64_MAX - 4095, 4096}, {0, 4096}}), HasSubstr("at 0x"));
  EXPECT_NE(error_of({{8192, UINT64_MAX - 4095}}), "no error");
}

TEST(GuestMemory, SaysThatTheHostCannotMapSoMuch) {
  EXPECT_THAT(error_of({{0, std::uint64_t{1} << 60}}),
              HasSubstr("guest memory of 1099511627776 MiB"));
  EXPECT_NE(error_of({{0, std::uint64_t{1} << 60}}, Backing::kMemfd), "no error");
}

TEST(GuestMemory, BeginsAsZeros) {
  const GuestMemory memory = make();
  EXPECT_EQ(*memory.read<std::uint64_t>(0), 0U);
  EXPECT_EQ(*memory.read<std::uint64_t>(kHigh + 2 * kMib - 8), 0U);
  EXPECT_EQ(memory.total_size(), 4 * kMib);
  EXPECT_EQ(memory.end(), kHigh + 2 * kMib);
}

TEST(GuestMemory, ReadsWhatWasWritten) {
  const GuestMemory memory = make();
  ASSERT_TRUE(memory.write<std::uint32_t>(kHigh + 1, 0x11223344));
  EXPECT_EQ(*memory.read<std::uint32_t>(kHigh + 1), 0x11223344U);
  EXPECT_EQ(*memory.read<std::uint8_t>(kHigh + 1), 0x44U);
  ASSERT_TRUE(memory.write(kMib - 5, bytes("hello")));
  std::array<std::byte, 5> read{};
  ASSERT_TRUE(memory.read(kMib - 5, read));
  EXPECT_EQ(std::memcmp(read.data(), "hello", 5), 0);
}

TEST(GuestMemory, RefusesWhatIsNotAllInOneRegion) {
  const GuestMemory memory = make();
  struct Case {
    GuestAddress address;
    std::uint64_t length;
  };
  for (const auto& [address, length] :
       {Case{kMib - 1, 2}, Case{2 * kMib, 1}, Case{2 * kMib - 1, 2}, Case{kHigh - 1, 1},
        Case{kHigh - 1, 2}, Case{kHigh + 2 * kMib, 1}, Case{kHigh, 2 * kMib + 1},
        Case{0, UINT64_MAX}, Case{1, UINT64_MAX}, Case{kHigh, UINT64_MAX - kHigh + 1},
        Case{UINT64_MAX, 1}, Case{UINT64_MAX, UINT64_MAX}, Case{3 * kMib, 0},
        Case{UINT64_MAX, 0}}) {
    EXPECT_FALSE(memory.find(address, length)) << address << " " << length;
    const auto slice = memory.slice(address, length);
    ASSERT_FALSE(slice);
    EXPECT_EQ(slice.error().kind(), ErrorKind::kGuest);
  }
  EXPECT_EQ(memory.slice(3 * kMib, 8).error().text(),
            "8 bytes at guest address 0x300000 are not all in guest memory");
  EXPECT_FALSE(memory.read<std::uint64_t>(UINT64_MAX - 3));
  EXPECT_FALSE(memory.write<std::uint64_t>(2 * kMib - 7, 1));
}

TEST(GuestMemory, AllowsTheEdges) {
  const GuestMemory memory = make();
  for (const GuestAddress address : {GuestAddress{0}, GuestAddress{kMib}, kHigh}) {
    EXPECT_TRUE(memory.find(address, 0));
    EXPECT_TRUE(memory.find(address, kMib));
  }
  EXPECT_TRUE(memory.find(kMib - 1, 1));
  EXPECT_TRUE(memory.find(kHigh + 2 * kMib, 0));
}

TEST(GuestSlice, StaysInside) {
  const GuestMemory memory = make();
  const GuestSlice slice = *memory.find(100, 10);
  std::array<std::byte, 11> buffer{};
  const std::span all(buffer);
  EXPECT_TRUE(slice.read(0, all.first(10)));
  EXPECT_TRUE(slice.read(10, all.first(0)));
  EXPECT_FALSE(slice.read(0, all));
  EXPECT_FALSE(slice.read(1, all.first(10)));
  EXPECT_FALSE(slice.read(11, all.first(0)));
  EXPECT_FALSE(slice.read(UINT64_MAX, all.first(2)));
  EXPECT_FALSE(slice.write(UINT64_MAX, all.first(2)));
  EXPECT_FALSE(slice.write(1, all.first(10)));
  EXPECT_FALSE(slice.zero(0, 11));
  EXPECT_FALSE(slice.zero(1, UINT64_MAX));
  EXPECT_EQ(slice.read<std::uint32_t>(7), std::nullopt);
  EXPECT_EQ(slice.read<std::uint32_t>(6), 0U);
  EXPECT_FALSE(slice.sub(0, 11));
  EXPECT_FALSE(slice.sub(11, 0));
  EXPECT_FALSE(slice.sub(5, UINT64_MAX));
  EXPECT_EQ(slice.sub(10, 0)->size(), 0U);
  EXPECT_EQ(GuestSlice().size(), 0U);
  EXPECT_FALSE(GuestSlice().read<std::uint8_t>(0));
}

TEST(GuestSlice, ARefusedWriteChangesNothing) {
  const GuestMemory memory = make(true);
  const GuestSlice slice = *memory.find(0, 8);
  EXPECT_FALSE(slice.write(4, bytes("12345")));
  EXPECT_FALSE(slice.zero(4, 5));
  EXPECT_EQ(*memory.read<std::uint64_t>(0), 0U);
  EXPECT_FALSE(memory.dirty_bitmap(0)->test(0));
}

TEST(GuestSlice, SplitsIntoParts) {
  const GuestMemory memory = make();
  const GuestSlice slice = *memory.find(0x1000, 16);
  const GuestSlice part = *slice.sub(4, 8);
  ASSERT_TRUE(part.write<std::uint64_t>(0, 0x0807060504030201));
  EXPECT_EQ(*memory.read<std::uint8_t>(0x1004), 1U);
  EXPECT_EQ(*memory.read<std::uint8_t>(0x100b), 8U);
  ASSERT_TRUE(part.zero(0, 4));
  EXPECT_EQ(*memory.read<std::uint64_t>(0x1004), 0x0807060500000000U);
  part.store<std::uint16_t>(0, 0xabcd, std::memory_order_release);
  EXPECT_EQ(part.load<std::uint16_t>(0, std::memory_order_acquire), 0xabcd);
}

TEST(DirtyPages, AreThoseThatWereWritten) {
  const GuestMemory memory = make(true);
  DirtyBitmap& low = *memory.dirty_bitmap(0);
  DirtyBitmap& high = *memory.dirty_bitmap(2);
  ASSERT_TRUE(memory.write(4095, bytes("ab")));
  ASSERT_TRUE(memory.write(kHigh + 64 * 4096, bytes("c")));
  static_cast<void>(memory.read<std::uint64_t>(0x8000));
  EXPECT_EQ(low.take(), (std::vector<std::uint64_t>{0b11, 0, 0, 0}));
  EXPECT_EQ(low.take(), (std::vector<std::uint64_t>{0, 0, 0, 0}));
  EXPECT_TRUE(high.test(64));
  EXPECT_FALSE(high.test(63));
  EXPECT_EQ(high.take()[1], 1U);
}

TEST(DirtyPages, AreMarkedByEveryWayToWrite) {
  const GuestMemory memory = make(true);
  DirtyBitmap& dirty = *memory.dirty_bitmap(1);
  const GuestSlice slice = *memory.find(kMib, 16 * 4096);
  ASSERT_TRUE(slice.zero(0x1000, 1));
  slice.store<std::uint32_t>(0x3000, 7, std::memory_order_relaxed);
  ASSERT_TRUE(slice.sub(0x5000, 8)->write<std::uint64_t>(0, 1));
  static_cast<void>(slice.sub(0x7fff, 2)->lend_for_writing());
  EXPECT_EQ(dirty.take()[0], 0b110101010U);
  static_cast<void>(slice.lend_for_reading());
  ASSERT_TRUE(slice.write(0, {}));
  ASSERT_TRUE(slice.zero(0, 0));
  EXPECT_EQ(dirty.take()[0], 0U);
}

TEST(DirtyPages, AreNotLostWhenTakenWhileWritten) {
  const GuestMemory memory = make(true);
  DirtyBitmap& dirty = *memory.dirty_bitmap(0);
  constexpr std::uint64_t kPages = kMib / kPageSize;
  std::thread writer([&] {
    for (std::uint64_t page = 0; page < kPages; ++page) {
      EXPECT_TRUE(memory.write<std::uint8_t>(page * kPageSize, 1));
    }
  });
  std::vector<std::uint64_t> seen(kPages / 64);
  const auto collect = [&] {
    const std::vector<std::uint64_t> taken = dirty.take();
    for (std::size_t i = 0; i < seen.size(); ++i) seen[i] |= taken[i];
  };
  for (int i = 0; i < 100; ++i) collect();
  writer.join();
  collect();
  EXPECT_EQ(seen, std::vector<std::uint64_t>(kPages / 64, UINT64_MAX));
}

TEST(DirtyPages, AreNotTrackedUnlessAsked) { EXPECT_EQ(make().dirty_bitmap(0), nullptr); }

TEST(LoadFile, ReadsStraightIntoGuestMemory) {
  const test::TempDir dir;
  const UniqueFd file = *open_file(dir.write("f", "0123456789"), O_RDONLY);
  const GuestMemory memory = make(true);
  ASSERT_TRUE(memory.load_file(0x2000, 4, file.get(), 3));
  EXPECT_EQ(*memory.read<std::uint32_t>(0x2000), 0x36353433U);
  EXPECT_EQ(*memory.read<std::uint8_t>(0x2004), 0U);
  EXPECT_TRUE(memory.dirty_bitmap(0)->test(2));
  EXPECT_EQ(memory.load_file(0x2000, 8, file.get(), 3).error().text(),
            "the file ends after 7 of 8 bytes at offset 3");
  EXPECT_FALSE(memory.load_file(kMib - 2, 4, file.get(), 0));
  EXPECT_FALSE(memory.load_file(0x2000, 4, -1, 0));
}

TEST(Regions, TellKvmWhereTheyAre) {
  const GuestMemory memory = make();
  const std::vector<RegionView> regions = memory.regions();
  ASSERT_EQ(regions.size(), 3U);
  EXPECT_EQ(regions[2].range.start, kHigh);
  EXPECT_EQ(regions[2].range.size, 2 * kMib);
  EXPECT_EQ(regions[2].fd, -1);
  ASSERT_TRUE(memory.write<std::uint8_t>(kHigh + 5, 9));
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the address is told as KVM takes it
  const auto* host = reinterpret_cast<const volatile std::uint8_t*>(regions[2].host_address);
  EXPECT_EQ(host[5], 9);
}

}  // namespace
}  // namespace mote::memory
