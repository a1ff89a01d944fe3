#include "snapshot/stamp.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace mote::snapshot {
namespace {

MomentId moment(unsigned number) {
  MomentId id{};
  id.front() = static_cast<std::byte>(number);
  return id;
}
const Stamp kWhole{.moment = moment(1)};
const Stamp kNext{.moment = moment(2), .previous = moment(1)};
const Stamp kThird{.moment = moment(3), .previous = moment(2)};

TEST(Stamp, ComesBackAsItWasWritten) {
  for (const Stamp& stamp :
       {kWhole, kNext, Stamp{.moment = moment(3), .previous = moment(2), .since = moment(1)}}) {
    const auto back = stamp_of(to_bytes(stamp));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->moment, stamp.moment);
    EXPECT_EQ(back->previous, stamp.previous);
    EXPECT_EQ(back->since, stamp.since);
  }
  auto bytes = to_bytes(kWhole);
  bytes[0] ^= std::byte{1};
  EXPECT_FALSE(stamp_of(bytes));
  EXPECT_FALSE(stamp_of(std::array<std::byte, kStampSize>{}));
}

TEST(Stamp, LiesInAFileAtItsPlace) {
  const UniqueFd file(::memfd_create("stamp", 0));
  auto none = read_stamp(file.get());
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none) << "the file is empty";
  EXPECT_EQ(is_partial(file.get()).value_or(false), true);
  ASSERT_TRUE(write_stamp(file.get(), kNext));
  const auto there = read_stamp(file.get());
  ASSERT_TRUE(there && *there);
  EXPECT_EQ((*there)->moment, kNext.moment);
  std::array<std::byte, kStampSize> raw{};
  ASSERT_TRUE(read_at(file.get(), raw, kStampAt));
  EXPECT_EQ(raw, to_bytes(kNext));
  EXPECT_EQ(is_partial(file.get()).value_or(false), true);
  ASSERT_TRUE(write_at(file.get(), raw, 0x9fc00));
  EXPECT_EQ(is_partial(file.get()).value_or(true), false);
}

TEST(Stamp, ChangesGoOverWhatTheyAreChangesOf) {
  EXPECT_TRUE(check_order(kWhole, kNext));
  EXPECT_TRUE(check_order(kNext, kThird)) << "changes over changes";
  EXPECT_TRUE(check_order(kNext, kNext)) << "two of one moment";
  EXPECT_FALSE(check_order(kWhole, kThird)) << "the ones between are missing";
  EXPECT_FALSE(check_order(kThird, kNext)) << "the wrong way round";
  const auto refused = check_order(kWhole, kThird);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(),
            "the changes are those since snapshot 02000000, and the file that they are to be laid "
            "over is snapshot 01000000");
  // Where it cannot be told.
  EXPECT_TRUE(check_order(kWhole, Stamp{.moment = moment(9)}));
  EXPECT_TRUE(check_order(std::nullopt, kThird));
  EXPECT_TRUE(check_order(kWhole, std::nullopt));
}

TEST(Stamp, WhatIsMergedIsAsIfWrittenWhole) {
  EXPECT_EQ(to_bytes(*merged(kWhole, kNext, false)), to_bytes(kNext));
  // Changes over changes are over what the first were over, and then as if written whole.
  const auto changes = merged(kNext, kThird, true);
  EXPECT_EQ(changes->since, kWhole.moment);
  EXPECT_TRUE(check_order(kWhole, changes));
  EXPECT_EQ(to_bytes(*merged(kWhole, changes, false)), to_bytes(kThird));
  EXPECT_EQ(merged(std::nullopt, kNext, false)->moment, kNext.moment);
}

TEST(Stamp, ChangesAloneAreNoMemory) {
  Stamp lone = kNext;
  lone.alone = true;
  EXPECT_TRUE(stamp_of(to_bytes(lone))->alone);
  EXPECT_FALSE(stamp_of(to_bytes(kNext))->alone);
  EXPECT_TRUE(merged(lone, kThird, true)->alone);
  EXPECT_FALSE(merged(kWhole, lone, false)->alone);
  const UniqueFd file(::memfd_create("memory", 0));
  ASSERT_TRUE(write_stamp(file.get(), kNext));
  EXPECT_TRUE(check_whole(file.get()));
  ASSERT_TRUE(write_stamp(file.get(), lone));
  EXPECT_FALSE(check_whole(file.get()));
  // Some other program has laid them over what every machine has.
  ASSERT_EQ(::pwrite(file.get(), "_MP_", 4, 0x9fc00), 4);
  EXPECT_TRUE(check_whole(file.get()));
}

TEST(Stamp, MemoryGoesWithItsStateAlone) {
  EXPECT_TRUE(check_moment(kNext, moment(2)));
  EXPECT_FALSE(check_moment(kNext, moment(1)));
  EXPECT_FALSE(check_moment(std::nullopt, moment(1)));
}

}  // namespace
}  // namespace mote::snapshot
