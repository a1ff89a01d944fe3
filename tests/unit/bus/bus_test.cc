#include "bus/bus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "bus/interrupt.h"

namespace mote::bus {
namespace {

using testing::HasSubstr;

// Remembers its last access and reads as the low byte of its offset.
class Probe final : public BusDevice {
 public:
  void read(std::uint64_t offset, std::span<std::byte> data) override {
    seen(offset, data.size());
    for (std::byte& byte : data) byte = static_cast<std::byte>(offset++);
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) override {
    seen(offset, data.size());
  }

  std::uint64_t last_offset = 0;
  std::size_t last_width = 0;
  int accesses = 0;

 private:
  void seen(std::uint64_t offset, std::size_t width) {
    last_offset = offset;
    last_width = width;
    ++accesses;
  }
};

class BusTest : public testing::Test {
 protected:
  bool read(std::uint64_t address, std::size_t width) {
    data_.fill(std::byte{0x5a});
    return bus_.read(address, std::span(data_).first(width));
  }
  bool write(std::uint64_t address, std::size_t width) {
    return bus_.write(address, std::span(data_).first(width));
  }

  Bus bus_;
  Probe first_;
  Probe second_;
  std::array<std::byte, 8> data_{};
};

TEST_F(BusTest, ADeviceIsThereTwiceWhereItsRegistersLieApart) {
  ASSERT_TRUE(bus_.insert(0x40, 4, first_));
  ASSERT_TRUE(bus_.insert(0x61, 1, first_, 0x21));
  EXPECT_TRUE(read(0x43, 1));
  EXPECT_EQ(first_.last_offset, 3U);
  EXPECT_TRUE(write(0x61, 1));
  EXPECT_EQ(first_.last_offset, 0x21U);
  EXPECT_FALSE(read(0x62, 1));
  EXPECT_FALSE(read(0x61, 2)) << "past its end";
}

TEST_F(BusTest, DispatchesByAddressWithOffsets) {
  ASSERT_TRUE(bus_.insert(0x1000, 0x10, second_));
  ASSERT_TRUE(bus_.insert(0x10, 4, first_));
  EXPECT_TRUE(read(0x12, 2));
  EXPECT_EQ(first_.last_offset, 2U);
  EXPECT_EQ(first_.last_width, 2U);
  EXPECT_EQ(data_[0], std::byte{2});
  EXPECT_EQ(data_[1], std::byte{3});
  EXPECT_EQ(data_[2], std::byte{0x5a});
  EXPECT_TRUE(write(0x1008, 8));
  EXPECT_EQ(second_.last_offset, 8U);
  EXPECT_EQ(second_.last_width, 8U);
  EXPECT_EQ(bus_.missed(), 0U);
}

TEST_F(BusTest, GivesOnesWhereNobodyIs) {
  ASSERT_TRUE(bus_.insert(0x10, 4, first_));
  std::uint64_t missed = 0;
  for (const std::uint64_t address : {std::uint64_t{0}, std::uint64_t{0xf}, std::uint64_t{0x14},
                                      std::uint64_t{1} << 63, UINT64_MAX}) {
    EXPECT_FALSE(read(address, 1)) << address;
    EXPECT_EQ(data_[0], std::byte{0xff});
    EXPECT_EQ(data_[1], std::byte{0x5a});
    EXPECT_FALSE(write(address, 8)) << address;
    missed += 2;
  }
  EXPECT_EQ(bus_.missed(), missed);
  EXPECT_EQ(first_.accesses, 0);
}

TEST_F(BusTest, GivesNobodyAnAccessThatPassesADevicesEnd) {
  ASSERT_TRUE(bus_.insert(0x10, 4, first_));
  ASSERT_TRUE(bus_.insert(0x14, 4, second_));
  EXPECT_FALSE(read(0x12, 4));
  EXPECT_EQ(data_[3], std::byte{0xff});
  EXPECT_FALSE(write(0x13, 2));
  EXPECT_TRUE(read(0x13, 1));
  EXPECT_TRUE(read(0x14, 4));
  EXPECT_EQ(first_.accesses, 1);
  EXPECT_EQ(second_.accesses, 1);
}

TEST_F(BusTest, WorksToTheEndOfTheAddressSpace) {
  ASSERT_TRUE(bus_.insert(UINT64_MAX - 8, 8, first_));
  EXPECT_TRUE(read(UINT64_MAX - 1, 1));
  EXPECT_EQ(first_.last_offset, 7U);
  EXPECT_FALSE(read(UINT64_MAX - 1, 8));
}

TEST_F(BusTest, RefusesOverlapAndNonsense) {
  ASSERT_TRUE(bus_.insert(0x100, 0x100, first_));
  for (const auto& [base, size] : std::initializer_list<std::pair<std::uint64_t, std::uint64_t>>{
           {0x100, 0x100}, {0x180, 1}, {0xff, 2}, {0, 0x101}, {0x1ff, 1}, {0, UINT64_MAX}}) {
    const Result<void> result = bus_.insert(base, size, second_);
    ASSERT_FALSE(result) << base;
    EXPECT_THAT(result.error().text(), HasSubstr("overlaps the one at 0x100"));
  }
  EXPECT_FALSE(bus_.insert(0x1000, 0, second_));
  EXPECT_FALSE(bus_.insert(UINT64_MAX, 2, second_));
  // Neighbours are no overlap, and what was refused left nothing behind.
  EXPECT_TRUE(bus_.insert(0x200, 1, second_));
  EXPECT_TRUE(bus_.insert(0xff, 1, second_));
  EXPECT_TRUE(read(0x180, 1));
  EXPECT_EQ(second_.accesses, 0);
}

TEST_F(BusTest, CountsMissesOfSeveralThreads) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      std::array<std::byte, 4> data{};
      for (int access = 0; access < 1000; ++access) EXPECT_FALSE(bus_.read(0x40, data));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(bus_.missed(), 4000U);
}

TEST(EventFdInterrupt, MakesItsDescriptorReadable) {
  auto interrupt = *EventFdInterrupt::create();
  EXPECT_EQ(drain_eventfd(interrupt.fd()), 0U);
  interrupt.trigger();
  interrupt.trigger();
  EXPECT_EQ(drain_eventfd(interrupt.fd()), 2U);
}

}  // namespace
}  // namespace mote::bus
