// Memory that devices bring: addresses, slots, regions that others find, and what is given back.
#include "memory/address_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <map>
#include <thread>

namespace mote::memory {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kMib = 1 << 20;
constexpr GuestAddress kWindow = std::uint64_t{8} << 30;

class RecordedSlots final : public SlotTable {
 public:
  Result<void> set(std::uint32_t number, const Range& range, std::byte* /*host*/,
                   Access access) override {
    if (full) return fail(ErrorKind::kResource, "the table is full");
    slots[number] = {range, access};
    return {};
  }
  Result<void> clear(std::uint32_t number, const Range& /*range*/) override {
    if (stuck) return fail(ErrorKind::kIo, "the slot stays");
    slots.erase(number);
    return {};
  }
  std::map<std::uint32_t, std::pair<Range, Access>> slots;
  bool full = false;
  bool stuck = false;
};

GuestMemory make(Backing backing = Backing::kAnonymous) {
  auto memory = GuestMemory::create({.ranges = {{0, 4 * kMib}}, .backing = backing});
  EXPECT_TRUE(memory) << memory.error().text();
  return std::move(*memory);
}

MappedMemory map(std::uint64_t size, int protection = PROT_READ | PROT_WRITE) {
  return std::move(*MappedMemory::map(size, protection, MAP_PRIVATE | MAP_ANONYMOUS));
}

// How many of the `size` bytes at `address` of guest memory the host has.
std::uint64_t resident(const GuestMemory& memory, GuestAddress address, std::uint64_t size) {
  std::vector<unsigned char> pages(size / kPageSize);
  EXPECT_EQ(::mincore(memory.slice(address, size)->lend_for_reading().iov_base, size, pages.data()),
            0);
  return static_cast<std::uint64_t>(
             std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; })) *
         kPageSize;
}

class AddressSpaceTest : public testing::Test {
 protected:
  GuestMemory memory_ = make();
  RecordedSlots slots_;
  AddressSpace space_{
      memory_, [] { return std::vector<Range>{{kWindow, 64 * kMib}, {2 * kWindow, 16 * kMib}}; },
      slots_};
};

TEST_F(AddressSpaceTest, GivesOutRangesThatAreAlignedAndApart) {
  EXPECT_EQ(space_.reserve(kMib, kMib)->start, kWindow);
  EXPECT_EQ(space_.reserve(kMib, 8 * kMib)->start, kWindow + 8 * kMib);
  EXPECT_EQ(space_.reserve(4 * kMib, 2 * kMib)->start, kWindow + 2 * kMib) << "between the two";
  EXPECT_EQ(space_.reserve(48 * kMib, 16 * kMib)->start, kWindow + 16 * kMib);
  EXPECT_EQ(space_.reserve(16 * kMib, kMib)->start, 2 * kWindow) << "the next window";
  const auto none = space_.reserve(16 * kMib, kMib);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::kResource);
  EXPECT_FALSE(space_.reserve(UINT64_MAX, kMib));
  EXPECT_FALSE(space_.reserve(kMib, std::uint64_t{1} << 63));
}

TEST_F(AddressSpaceTest, GivesOutTheVeryRangeOfASavedMachineOnce) {
  const Range saved{kWindow + 4 * kMib, 4 * kMib};
  EXPECT_TRUE(space_.reserve_at(saved));
  EXPECT_THAT(space_.reserve_at(saved).error().text(), HasSubstr("taken"));
  EXPECT_EQ(space_.reserve(8 * kMib, kMib)->start, kWindow + 8 * kMib);
  EXPECT_FALSE(space_.reserve_at({0, kMib})) << "RAM";
  EXPECT_FALSE(space_.reserve_at({kWindow, 0}));
  EXPECT_FALSE(space_.reserve_at({kWindow + 63 * kMib, 2 * kMib}));
  EXPECT_FALSE(space_.reserve_at({kWindow, UINT64_MAX - 5}));
  EXPECT_FALSE(space_.reserve_at({UINT64_MAX - kMib, 2 * kMib}));
}

TEST_F(AddressSpaceTest, SlotsLiveAsLongAsTheirOwner) {
  const MappedMemory host = map(2 * kMib);
  auto first = space_.map({kWindow, kMib}, host.data(), Access::kWrite);
  ASSERT_TRUE(first);
  {
    Slot second = *space_.map({kWindow + kMib, kMib}, host.data() + kMib, Access::kRead);
    EXPECT_TRUE(second);
    EXPECT_EQ(slots_.slots.size(), 2U);
    EXPECT_EQ(slots_.slots[AddressSpace::kFirstSlot + 1].second, Access::kRead);
    const Slot moved = std::move(second);
    EXPECT_FALSE(second);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(slots_.slots.size(), 2U);
  }
  EXPECT_EQ(slots_.slots.size(), 1U);
  *first = Slot();
  EXPECT_TRUE(slots_.slots.empty());
  const Slot third = *space_.map({kWindow, kMib}, host.data(), Access::kWrite);
  EXPECT_LT(slots_.slots.begin()->first, AddressSpace::kFirstSlot + 2) << "numbers are used again";
}

TEST_F(AddressSpaceTest, ASlotThatTheHostRefusesIsNone) {
  const MappedMemory host = map(kMib);
  slots_.full = true;
  EXPECT_FALSE(space_.map({kWindow, kMib}, host.data(), Access::kWrite));
  slots_.full = false;
  Slot slot = *space_.map({kWindow, kMib}, host.data(), Access::kWrite);
  EXPECT_TRUE(slots_.slots.contains(AddressSpace::kFirstSlot));
  // One that cannot be taken back keeps its number.
  slots_.stuck = true;
  slot = Slot();
  slots_.stuck = false;
  const Slot other = *space_.map({kWindow + kMib, kMib}, host.data(), Access::kWrite);
  EXPECT_EQ(slots_.slots.size(), 2U);
}

TEST_F(AddressSpaceTest, AtTheEndOfTheVmSlotsAreLeftToIt) {
  const MappedMemory host = map(kMib);
  {
    const Slot slot = *space_.map({kWindow, kMib}, host.data(), Access::kWrite);
    space_.close();
  }
  EXPECT_EQ(slots_.slots.size(), 1U);
}

TEST_F(AddressSpaceTest, OthersFindMemoryThatADeviceBrings) {
  EXPECT_FALSE(memory_.find(kWindow, 8));
  ASSERT_TRUE(space_.attach({.range = {kWindow, kMib}, .mapping = map(kMib)}));
  EXPECT_TRUE(memory_.write<std::uint32_t>(kWindow + kMib - 4, 7));
  EXPECT_EQ(*memory_.read<std::uint32_t>(kWindow + kMib - 4), 7U);
  EXPECT_FALSE(memory_.find(kWindow + kMib - 4, 8));
  EXPECT_EQ(memory_.regions().size(), 1U) << "RAM alone";
  EXPECT_EQ(memory_.total_size(), 4 * kMib);
}

TEST_F(AddressSpaceTest, MemoryThatIsReadOnlyIsFoundForReadingAlone) {
  ASSERT_TRUE(space_.attach(
      {.range = {kWindow, kMib}, .mapping = map(kMib, PROT_READ), .writable = false}));
  EXPECT_TRUE(memory_.find(kWindow, 8, Access::kRead));
  EXPECT_FALSE(memory_.find(kWindow, 8));
  EXPECT_FALSE(memory_.write<std::uint8_t>(kWindow, 1));
}

TEST_F(AddressSpaceTest, BlocksThatAreNotPluggedAreNotMemory) {
  const auto blocks = std::make_shared<BlockMap>(4, kMib);
  ASSERT_TRUE(
      space_.attach({.range = {kWindow, 4 * kMib}, .mapping = map(4 * kMib), .blocks = blocks}));
  EXPECT_FALSE(memory_.find(kWindow, 1));
  EXPECT_FALSE(memory_.find(kWindow, 0));
  blocks->assign(1, 2, true);
  EXPECT_FALSE(memory_.find(kWindow + kMib - 1, 2));
  EXPECT_TRUE(memory_.find(kWindow + kMib, 2 * kMib));
  EXPECT_FALSE(memory_.find(kWindow + kMib, 2 * kMib + 1));
  EXPECT_FALSE(memory_.find(kWindow + 4 * kMib, 0));
  EXPECT_EQ(blocks->count(0, 4), 2U);
  blocks->assign(2, 1, false);
  EXPECT_FALSE(memory_.find(kWindow + kMib, 2 * kMib));
  EXPECT_TRUE(memory_.find(kWindow + kMib, kMib));
}

TEST_F(AddressSpaceTest, RegionsThatMakeNoSenseAreRefused) {
  EXPECT_FALSE(space_.attach({.range = {0, kMib}, .mapping = map(kMib)})) << "over RAM";
  EXPECT_FALSE(space_.attach({.range = {kWindow + 1, kMib}, .mapping = map(kMib)}));
  EXPECT_FALSE(space_.attach({.range = {kWindow, 2 * kMib}, .mapping = map(kMib)}));
  EXPECT_FALSE(space_.attach({.range = {kWindow, 0}, .mapping = {}}));
  ASSERT_TRUE(space_.attach({.range = {kWindow, kMib}, .mapping = map(kMib)}));
  EXPECT_FALSE(space_.attach({.range = {kWindow + kMib - kPageSize, kMib}, .mapping = map(kMib)}));
}

TEST_F(AddressSpaceTest, ReadersNeedNoLockWhileRegionsAreAddedAndBlocksComeAndGo) {
  const auto blocks = std::make_shared<BlockMap>(16, 64 * 1024);
  ASSERT_TRUE(space_.attach({.range = {kWindow, kMib}, .mapping = map(kMib), .blocks = blocks}));
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      for (std::uint64_t at = 0; at < kMib; at += 4096) {
        static_cast<void>(memory_.read<std::uint64_t>(kWindow + at));
        static_cast<void>(memory_.write<std::uint64_t>(2 * kWindow + at, at));
      }
    }
  });
  for (std::uint64_t i = 0; i < 200; ++i) {
    blocks->assign(i % 16, 1, i % 3 != 0);
    if (i % 20 == 0) {
      ASSERT_TRUE(
          space_.attach({.range = {2 * kWindow + i / 20 * 65536, 65536}, .mapping = map(65536)}));
    }
  }
  done = true;
  reader.join();
}

class DiscardTest : public testing::TestWithParam<Backing> {};

TEST_P(DiscardTest, GivesWholePagesBackToTheHost) {
  const GuestMemory memory = make(GetParam());
  ASSERT_TRUE(memory.slice(0, 4 * kMib)->zero(0, 4 * kMib));
  ASSERT_TRUE(memory.write<std::uint8_t>(kMib - 1, 'a'));
  ASSERT_TRUE(memory.write<std::uint8_t>(kMib, 'b'));
  EXPECT_EQ(resident(memory, 0, 4 * kMib), 4 * kMib);
  EXPECT_EQ(*memory.discard(*memory.slice(kMib, kMib)), kMib);
  EXPECT_EQ(resident(memory, kMib, kMib), 0U);
  EXPECT_EQ(resident(memory, 0, 4 * kMib), 3 * kMib);
  EXPECT_EQ(*memory.read<std::uint8_t>(kMib - 1), 'a');
  EXPECT_EQ(*memory.read<std::uint8_t>(kMib), 0);
  // The pages at both ends are not whole.
  EXPECT_EQ(*memory.discard(*memory.slice(1, 3 * kPageSize)), 2 * kPageSize);
  EXPECT_EQ(*memory.discard(*memory.slice(1, kPageSize)), 0U);
  EXPECT_EQ(*memory.discard(*memory.slice(kPageSize, 0)), 0U);
}

INSTANTIATE_TEST_SUITE_P(Backings, DiscardTest,
                         testing::Values(Backing::kAnonymous, Backing::kMemfd));

TEST_F(AddressSpaceTest, WhatIsAFilesIsNeverDiscarded) {
  ASSERT_TRUE(space_.attach({.range = {kWindow, kMib}, .mapping = map(kMib)}));
  ASSERT_TRUE(space_.attach(
      {.range = {2 * kWindow, kMib}, .mapping = map(kMib), .backing = Backing::kAnonymous}));
  EXPECT_FALSE(memory_.discard(*memory_.slice(kWindow, kMib)));
  EXPECT_EQ(*memory_.discard(*memory_.slice(2 * kWindow, kMib)), kMib);
  EXPECT_FALSE(memory_.discard(GuestSlice()));
  const GuestMemory other = make();
  EXPECT_FALSE(memory_.discard(*other.slice(0, kMib))) << "another machine's";
}

}  // namespace
}  // namespace mote::memory
