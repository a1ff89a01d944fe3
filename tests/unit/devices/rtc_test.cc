#include "devices/rtc.h"

#include <ctime>

#include "devices/chip.h"

namespace mote::devices {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kGiB = 1ULL << 30;
constexpr int kSet = 0x80;
constexpr int kBinary = 0x04;
constexpr int k24Hours = 0x02;

class RtcTest : public testing::Test {
 protected:
  int get(int index) {
    out8(*chip, 0, index);
    return in8(*chip, 1);
  }
  void set(int index, int value) {
    out8(*chip, 0, index);
    out8(*chip, 1, value);
  }
  void at(int year, int month, int day, int hour, int minute, int second) {
    std::tm fields{};
    fields.tm_year = year - 1900;
    fields.tm_mon = month - 1;
    fields.tm_mday = day;
    fields.tm_hour = hour;
    fields.tm_min = minute;
    fields.tm_sec = second;
    now = ::timegm(&fields) * kSecond;
  }
  // Century, year, month, day, hour, minute, second as the registers say.
  std::vector<int> time() { return {get(0x32), get(9), get(8), get(7), get(4), get(2), get(0)}; }

  using Fields = std::vector<int>;
  std::int64_t now = 0;
  Rtc::Clock clock = [this] { return now; };
  std::unique_ptr<Rtc> chip = std::make_unique<Rtc>(3 * kGiB, 5 * kGiB, clock);
};

TEST_F(RtcTest, TellsTheTimeInDecimalDigits) {
  at(2026, 12, 31, 23, 59, 58);
  EXPECT_EQ(time(), (Fields{0x20, 0x26, 0x12, 0x31, 0x23, 0x59, 0x58}));
  EXPECT_EQ(get(6), 5) << "a Thursday; Sunday is 1";
  now += 2 * kSecond;
  EXPECT_EQ(time(), (Fields{0x20, 0x27, 0x01, 0x01, 0x00, 0x00, 0x00}));
}

TEST_F(RtcTest, SpeaksBinaryAndTwelveHours) {
  at(2026, 12, 31, 23, 59, 58);
  set(0x0b, k24Hours | kBinary);
  EXPECT_EQ(time(), (Fields{20, 26, 12, 31, 23, 59, 58}));
  set(0x0b, 0);
  EXPECT_EQ(get(4), 0x91) << "eleven in the afternoon";
  at(2026, 1, 1, 0, 0, 0);
  EXPECT_EQ(get(4), 0x12) << "midnight";
  at(2026, 1, 1, 12, 0, 0);
  EXPECT_EQ(get(4), 0x92) << "noon";
}

TEST_F(RtcTest, GuestsTimeKeepsItsDistance) {
  at(2026, 5, 5, 5, 5, 5);
  set(0x0b, k24Hours | kSet);
  EXPECT_EQ(get(0x0a) & 0x80, 0);
  set(0x32, 0x19);
  set(9, 0x99);
  set(8, 0x12);
  set(7, 0x31);
  set(4, 0x23);
  set(2, 0x59);
  set(0, 0x30);
  now += 10 * kSecond;
  EXPECT_EQ(get(0), 0x30) << "stands while it is set";
  set(0x0b, k24Hours);
  EXPECT_EQ(time(), (Fields{0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x30}));
  now += 30 * kSecond;
  EXPECT_EQ(time(), (Fields{0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00}));
}

TEST_F(RtcTest, SingleRegisterCanBeSetWhileTheClockRuns) {
  at(2026, 5, 5, 5, 5, 5);
  set(4, 0x17);
  EXPECT_EQ(get(4), 0x17);
  EXPECT_EQ(get(2), 0x05);
}

TEST_F(RtcTest, DigitsThatAreNoneLeaveTheTimeAlone) {
  at(2026, 5, 5, 5, 5, 5);
  set(4, 0xfa);
  EXPECT_EQ(time(), (Fields{0x20, 0x26, 0x05, 0x05, 0x05, 0x05, 0x05}));
  set(0x0b, kSet);
  set(4, 0x00);
  set(0x0b, 0);
  EXPECT_EQ(get(4), 0x05) << "there is no hour 0 among 12";
}

TEST_F(RtcTest, DatesThatThereAreNotCarryOver) {
  at(2026, 2, 5, 5, 5, 5);
  set(7, 0x30);
  EXPECT_EQ(time(), (Fields{0x20, 0x26, 0x03, 0x02, 0x05, 0x05, 0x05})) << "30 February";
  at(2026, 5, 5, 5, 5, 5);
  chip = std::make_unique<Rtc>(3 * kGiB, 5 * kGiB, clock);
  set(8, 0x00);
  EXPECT_EQ(time(), (Fields{0x20, 0x25, 0x12, 0x05, 0x05, 0x05, 0x05}))
      << "the month before January";
  set(0, 0x99);
  EXPECT_EQ(time(), (Fields{0x20, 0x25, 0x12, 0x05, 0x05, 0x06, 0x39}));
}

TEST_F(RtcTest, UpdateInProgressPrecedesTheSecondAndPasses) {
  at(2026, 5, 5, 5, 5, 5);
  EXPECT_EQ(get(0x0a) & 0x80, 0);
  now += kSecond - 100'000;
  EXPECT_EQ(get(0x0a) & 0x80, 0x80);
  now += 100'000;
  EXPECT_EQ(get(0x0a) & 0x80, 0);
}

TEST_F(RtcTest, AlarmsAreNotOffered) {
  set(0x0b, 0x70 | k24Hours);
  EXPECT_EQ(get(0x0b), k24Hours);
  EXPECT_EQ(get(0x0c), 0);
  EXPECT_EQ(get(0x0d), 0x80);
  set(0x0d, 0);
  EXPECT_EQ(get(0x0d), 0x80);
}

TEST_F(RtcTest, MemorySizeAsFirmwareLeavesIt) {
  EXPECT_EQ(get(0x15) | get(0x16) << 8, 640);
  EXPECT_EQ(get(0x17) | get(0x18) << 8, 0xffff);
  EXPECT_EQ(get(0x34) | get(0x35) << 8, (3 * kGiB - (16 << 20)) >> 16);
  EXPECT_EQ(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 5 * kGiB >> 16);
  chip = std::make_unique<Rtc>(512 << 10, 0, clock);
  EXPECT_EQ(get(0x17), 0) << "less than a megabyte";
  EXPECT_EQ(get(0x34), 0);
}

TEST_F(RtcTest, BytesAreKept) {
  set(0x7f, 0x42);
  EXPECT_EQ(get(0x7f), 0x42);
  EXPECT_EQ(get(0xff), 0x42) << "bit 7 is not of the index";
}

TEST_F(RtcTest, StateGoesOnInANewChip) {
  at(2026, 5, 5, 5, 5, 5);
  set(4, 0x17);
  set(0x40, 0x99);
  out8(*chip, 0, 0x40);
  auto restored = Rtc::restore(chip->save(), clock);
  ASSERT_TRUE(restored);
  chip = std::move(*restored);
  EXPECT_EQ(in8(*chip, 1), 0x99) << "the index is state";
  now += kSecond;
  EXPECT_EQ(time(), (Fields{0x20, 0x26, 0x05, 0x05, 0x17, 0x05, 0x06}));

  RtcState wrong;
  wrong.index = 128;
  EXPECT_FALSE(Rtc::restore(wrong, clock));
  wrong = {};
  wrong.offset_seconds = INT64_MIN;
  EXPECT_FALSE(Rtc::restore(wrong, clock));
}

TEST_F(RtcTest, WideAndOutlyingAccessesAreNobodys) {
  expect_no_wide_registers(*chip);
  EXPECT_EQ(in8(*chip, 0), 0xff) << "the index cannot be read";
  EXPECT_EQ(in8(*chip, 2), 0xff);
  out8(*chip, 2, 1);
  EXPECT_EQ(chip->missed_writes(), 22);
}

TEST_F(RtcTest, EveryByteToEveryRegisterIsBorne) {
  at(2026, 5, 5, 5, 5, 5);
  for (int index = 0; index < 128; ++index) {
    for (int value = 0; value < 256; ++value) {
      set(index, value);
      get(value & 0x7f);
    }
  }
  EXPECT_TRUE(Rtc::restore(chip->save(), clock));
}

}  // namespace
}  // namespace mote::devices
