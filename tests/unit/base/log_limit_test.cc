#include "base/log_limit.h"

#include <gtest/gtest.h>

namespace mote::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr CallSites::Place kOne{"a.cc", 1, 1};
constexpr CallSites::Place kTwo{"a.cc", 1, 2};

TEST(CallSites, AdmitTenLinesInFiveSeconds) {
  CallSites sites;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(sites.admit(kOne, milliseconds(i)).admitted) << i;
  EXPECT_FALSE(sites.admit(kOne, milliseconds(10)).admitted);
  EXPECT_FALSE(sites.admit(kOne, milliseconds(4999)).admitted);
  const auto after = sites.admit(kOne, seconds(5));
  EXPECT_TRUE(after.admitted);
  EXPECT_EQ(after.left_out, 2U);
  EXPECT_EQ(sites.admit(kOne, seconds(5)).left_out, 0U);
}

TEST(CallSites, CountTheWindowFromItsFirstLine) {
  CallSites sites;
  EXPECT_TRUE(sites.admit(kOne, seconds(1)).admitted);
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(sites.admit(kOne, seconds(5)).admitted);
  EXPECT_FALSE(sites.admit(kOne, milliseconds(5999)).admitted);
  EXPECT_TRUE(sites.admit(kOne, seconds(6)).admitted);
}

TEST(CallSites, AreCountedEachByItself) {
  CallSites sites;
  for (int i = 0; i < 20; ++i) sites.admit(kOne, {});
  EXPECT_FALSE(sites.admit(kOne, {}).admitted);
  EXPECT_TRUE(sites.admit(kTwo, {}).admitted);
}

TEST(CallSites, AreCountedEachByItselfForEachOfWhichTheySpeak) {
  CallSites sites;
  const auto of = [](std::size_t subject) {
    CallSites::Place place = kOne;
    place.subject = subject;
    return place;
  };
  for (int i = 0; i < 20; ++i) sites.admit(of(1), {});
  EXPECT_FALSE(sites.admit(of(1), {}).admitted);
  EXPECT_TRUE(sites.admit(of(2), {}).admitted);
  EXPECT_TRUE(sites.admit(kOne, {}).admitted);
}

TEST(CallSites, ForgetTheOneThatWasSilentLongest) {
  CallSites sites;
  for (int i = 0; i < 10; ++i) sites.admit(kOne, milliseconds(1));
  for (int i = 0; i < 10; ++i) sites.admit(kTwo, milliseconds(2));
  // As many others as there is room for but one, then one too many.
  for (std::uint32_t i = 0; i < 126; ++i) sites.admit({"b.cc", i, 0}, milliseconds(3));
  EXPECT_FALSE(sites.admit(kOne, milliseconds(4)).admitted);
  sites.admit({"b.cc", 126, 0}, milliseconds(4));
  EXPECT_FALSE(sites.admit(kTwo, milliseconds(5)).admitted);
  EXPECT_TRUE(sites.admit(kOne, milliseconds(5)).admitted);
}

}  // namespace
}  // namespace mote::log
