#include "api/firecracker/metrics/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/describe/class.hpp>

namespace mote::api::firecracker {
namespace {

struct Reads {
  std::uint64_t count = 0;
  LatencyAggregate took;
  Counter own;
};
BOOST_DESCRIBE_STRUCT(Reads, (), (count, took, own))
struct Life {
  Gauge age;
};
BOOST_DESCRIBE_STRUCT(Life, (), (age))

struct Keys {
  static constexpr std::array<std::string_view, 4> kKeys{"age", "took", "nothing", "count"};
  static constexpr std::array<std::string_view, 1> kNeverCounted{"nothing"};
};

TEST(MetricsFields, FollowTheKeysAndTheStructsThatCountThem) {
  Reads reads{.count = 7, .took = {}, .own = 9};
  reads.took.add(20);
  reads.took.add(30);
  const Life life{.age = 4};
  EXPECT_THAT((numbers_of<Keys>(reads, life)), testing::ElementsAre(4, 20, 30, 50, 0, 7));
  std::vector<std::string> names;
  for (const Field& field : kFields<Keys, Reads, Life>) {
    names.push_back(std::string(field.outer) + ":" + std::string(field.name));
  }
  EXPECT_THAT(names, testing::ElementsAre(":age", "took:min_us", "took:max_us", "took:sum_us",
                                          ":nothing", ":count"));
  EXPECT_EQ((kFields<Keys, Reads, Life>[0].kind), FieldKind::kGauge);
  EXPECT_EQ((kFields<Keys, Reads, Life>[5].kind), FieldKind::kCounter);
}

TEST(MetricsFields, KnowWhatIsBesideTheKeys) {
  std::vector<std::string_view> names;
  for_each_own<Keys>(Reads{.count = 0, .took = {}, .own = 9}, [&](const OwnNumber& number) {
    names.push_back(number.field.name);
    EXPECT_EQ(number.value, 9U);
  });
  EXPECT_THAT(names, testing::ElementsAre("own"));
}

TEST(MetricsFields, OfAWholeStructAreItsMembers) {
  EXPECT_THAT(Whole<Reads>::kKeys, testing::ElementsAre("count", "took", "own"));
  EXPECT_THAT((numbers_of<Whole<Reads>>(Reads{.count = 1, .took = {}, .own = 2})),
              testing::ElementsAre(1, 0, 0, 0, 2));
}

}  // namespace
}  // namespace mote::api::firecracker
