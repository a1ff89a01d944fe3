#include "arch/x86_64/memory_map.h"

#include <gtest/gtest.h>

#include "arch/support.h"
#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

using layout::kGiB;
using layout::kMiB;

constexpr unsigned kBits = 46;

std::uint64_t total(std::span<const memory::Range> ranges) {
  std::uint64_t sum = 0;
  for (const auto& range : ranges) sum += range.size;
  return sum;
}

TEST(MemoryRanges, BelowTheGapIsOneRange) {
  for (const std::uint64_t size : {kMiB, 2 * kMiB, 128 * kMiB, 3 * kGiB}) {
    const auto ranges = memory_ranges(size, kBits);
    ASSERT_TRUE(ranges) << error_of(ranges);
    ASSERT_EQ(ranges->size(), 1U);
    EXPECT_EQ(ranges->front().start, 0U);
    EXPECT_EQ(ranges->front().size, size);
  }
}

TEST(MemoryRanges, RestGoesAboveFourGiB) {
  const auto ranges = memory_ranges(3 * kGiB + 4096, kBits);
  ASSERT_TRUE(ranges);
  ASSERT_EQ(ranges->size(), 2U);
  EXPECT_EQ(ranges->at(0).end(), 3 * kGiB);
  EXPECT_EQ(ranges->at(1).start, 4 * kGiB);
  EXPECT_EQ(ranges->at(1).size, 4096U);
}

TEST(MemoryRanges, SkipsTheMmioWindowsAtAnySize) {
  for (const std::uint64_t size : {5 * kGiB, 64 * kGiB, 255 * kGiB, 300 * kGiB, 1024 * kGiB}) {
    const auto ranges = memory_ranges(size, kBits);
    ASSERT_TRUE(ranges);
    EXPECT_EQ(total(*ranges), size);
    std::uint64_t end = 0;
    for (const auto& range : *ranges) {
      EXPECT_GE(range.start, end);
      end = range.end();
      EXPECT_TRUE(range.end() <= 3 * kGiB || range.start >= 4 * kGiB);
      EXPECT_TRUE(range.end() <= 256 * kGiB || range.start >= 512 * kGiB);
    }
  }
}

TEST(DeviceMemoryWindows, AreBehindAllMemoryAndOutOfTheMmioWindows) {
  for (const std::uint64_t size : {kMiB, 128 * kMiB, 5 * kGiB, 255 * kGiB, 300 * kGiB}) {
    const auto ranges = memory_ranges(size, kBits);
    ASSERT_TRUE(ranges);
    const auto windows = device_memory_windows(*ranges, kBits);
    ASSERT_FALSE(windows.empty());
    EXPECT_EQ(windows[0].end(), 1ULL << kBits);
    for (const auto& window : windows) {
      EXPECT_EQ(window.start % (2 * kGiB), 0U);
      EXPECT_TRUE(window.start >= 512 * kGiB ||
                  (window.start >= 4 * kGiB && window.end() <= 256 * kGiB));
      for (const auto& range : *ranges) {
        EXPECT_TRUE(window.end() <= range.start || window.start >= range.end());
      }
    }
  }
}

TEST(DeviceMemoryWindows, StartAt512GiBWhereTheProcessorReachesThat) {
  const auto ranges = memory_ranges(128 * kMiB, 40);
  const auto windows = device_memory_windows(*ranges, 40);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[0].start, 512 * kGiB);
  EXPECT_EQ(windows[0].end(), 1024 * kGiB);
  EXPECT_EQ(windows[1].start, 4 * kGiB);
  EXPECT_EQ(windows[1].end(), 256 * kGiB);
}

TEST(DeviceMemoryWindows, AreBehindMemoryOnASmallProcessor) {
  const auto ranges = memory_ranges(6 * kGiB, 36);
  const auto windows = device_memory_windows(*ranges, 36);
  ASSERT_EQ(windows.size(), 1U);
  EXPECT_EQ(windows[0].start, 8 * kGiB);  // RAM ends at 7 GiB
  EXPECT_EQ(windows[0].end(), 64 * kGiB);
  EXPECT_TRUE(device_memory_windows(*memory_ranges(3 * kGiB, 32), 32).empty());
}

TEST(MemoryRanges, RefusesSizesThatCannotBe) {
  for (const std::uint64_t size : {std::uint64_t{0}, kMiB - 4096, kMiB + 1, 128 * kMiB + 512}) {
    const auto ranges = memory_ranges(size, kBits);
    ASSERT_FALSE(ranges) << size;
    EXPECT_EQ(ranges.error().kind(), ErrorKind::kInvalid);
    EXPECT_NE(error_of(ranges).find(std::to_string(size)), std::string::npos);
  }
}

TEST(MemoryRanges, RefusesWhatTheHostsAddressesDoNotReach) {
  // 36 bits: 64 GiB of addresses, of which the 32-bit gap takes one.
  EXPECT_TRUE(memory_ranges(63 * kGiB, 36));
  const auto ranges = memory_ranges(64 * kGiB, 36);
  ASSERT_FALSE(ranges);
  EXPECT_NE(error_of(ranges).find("36 address bits"), std::string::npos) << error_of(ranges);
  EXPECT_NE(error_of(ranges).find("64512 MiB at most"), std::string::npos) << error_of(ranges);
  EXPECT_FALSE(memory_ranges(UINT64_MAX - 4095, 52));
  EXPECT_FALSE(memory_ranges(UINT64_MAX - 4095, 255));
}

// Every size: ascending, without overlap, RAM where RAM is, the firmware's part of the first MiB
// reserved, and all other RAM told.
TEST(MemoryMap, TellsAllRamButTheFirmwares) {
  for (const std::uint64_t size : {kMiB, 2 * kMiB, 128 * kMiB, 3 * kGiB - 4096, 3 * kGiB,
                                   3 * kGiB + 4096, 5000 * kMiB, 64 * kGiB, 300 * kGiB}) {
    const auto ranges = memory_ranges(size, kBits);
    ASSERT_TRUE(ranges);
    const auto map = memory_map(*ranges);
    std::uint64_t ram = 0;
    std::uint64_t end = 0;
    for (const MemoryMapEntry& entry : map) {
      EXPECT_GE(entry.range.start, end);
      EXPECT_GT(entry.range.size, 0U);
      end = entry.range.end();
      if (entry.type == MemoryType::kRam) {
        ram += entry.range.size;
        EXPECT_TRUE(entry.range.end() <= layout::kEbda || entry.range.start >= layout::kHighMemory);
      } else {
        EXPECT_EQ(entry.range.start, layout::kEbda);
        EXPECT_EQ(entry.range.end(), layout::kHighMemory);
      }
    }
    EXPECT_EQ(end, ranges->back().end());
    EXPECT_EQ(ram, size - (layout::kHighMemory - layout::kEbda));
  }
}

TEST(BootStructures, LieBelowOneMiBAndApart) {
  std::uint64_t end = 0;
  for (const BootStructure& structure : boot_structures()) {
    EXPECT_GE(structure.range.start, end) << structure.name;
    end = structure.range.end();
    EXPECT_LE(end, layout::kHighMemory);
  }
}

}  // namespace
}  // namespace mote::arch
