#include "engine/prometheus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mote::engine {
namespace {

TEST(Prometheus, TellsEachNumberOfEachDevice) {
  const auto text = to_prometheus(R"({"utc_timestamp_ms":1,"id":"x",
      "block_a":{"read_bytes":3,"read_agg":{"min_us":1,"max_us":2,"sum_us":9}},
      "block_b":{"read_bytes":4,"read_agg":{"min_us":5,"max_us":6,"sum_us":7}},
      "block":{"read_bytes":7,"read_agg":{"min_us":1,"max_us":6,"sum_us":16}},
      "vhost_user_block_v":{"init_time_us":5},
      "latencies_us":{"pause_vm":8},
      "vcpu":{"exit_io_in":10}})");
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(*text, R"(# TYPE mote_block_read_bytes counter
mote_block_read_bytes{vm="x",device="a"} 3
mote_block_read_bytes{vm="x",device="b"} 4
# TYPE mote_block_read_agg_min_us gauge
mote_block_read_agg_min_us{vm="x",device="a"} 1
mote_block_read_agg_min_us{vm="x",device="b"} 5
# TYPE mote_block_read_agg_max_us gauge
mote_block_read_agg_max_us{vm="x",device="a"} 2
mote_block_read_agg_max_us{vm="x",device="b"} 6
# TYPE mote_block_read_agg_sum_us counter
mote_block_read_agg_sum_us{vm="x",device="a"} 9
mote_block_read_agg_sum_us{vm="x",device="b"} 7
# TYPE mote_vhost_user_block_init_time_us gauge
mote_vhost_user_block_init_time_us{vm="x",device="v"} 5
# TYPE mote_latencies_us_pause_vm gauge
mote_latencies_us_pause_vm{vm="x"} 8
# TYPE mote_vcpu_exit_io_in counter
mote_vcpu_exit_io_in{vm="x"} 10
)");
}

TEST(Prometheus, EscapesLabels) {
  const auto text = to_prometheus(R"({"id":"a\"\\\n","net_b\"":{"rx_count":1}})");
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_THAT(*text, testing::HasSubstr(R"(mote_net_rx_count{vm="a\"\\\n",device="b\""} 1)"));
}

TEST(Prometheus, RefusesWhatIsNoReport) {
  for (const char* report : {"", "[]", "1", R"({"vcpu":1})", R"({"vcpu":{"a":"b"}})",
                             R"({"vcpu":{"a":{"b":{"c":1}}}})", R"({"block_":[]})"}) {
    EXPECT_FALSE(to_prometheus(report)) << report;
  }
  EXPECT_EQ(*to_prometheus("{}"), "");
}

}  // namespace
}  // namespace mote::engine
