#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/firecracker/metrics/line.h"
#include "api_metrics/support.h"
#include "base/unique_fd.h"

#include <fcntl.h>

namespace mote::api::firecracker {
namespace {

using test::add_device;
using test::at;
using test::keys;
using test::parsed;

// Lines hold the keys that Firecracker's were recorded to hold, in their order.
class Schema : public testing::Test {
 protected:
  Schema() {
    const UniqueFd file = *open_file(MOTE_TEST_DATA "/firecracker_metrics.json", O_RDONLY);
    recorded_ = parsed(*read_all(file.get(), std::size_t{1} << 20));
  }
  json::Value line(const machine::MachineCounts& machine, std::string_view extra = {}) {
    LineBuffer buffer(std::size_t{1} << 17);
    Baselines baselines;
    make_line({.process = process_, .output = output_, .machine = machine}, 1234, {extra},
              baselines,
              /*fatal=*/false, buffer);
    EXPECT_FALSE(buffer.overflow());
    EXPECT_TRUE(buffer.text().ends_with("}\n"));
    return parsed(buffer.text());
  }
  std::vector<std::string> order(std::string_view which) {
    std::vector<std::string> names;
    for (const json::Value& name :
         *at(recorded_, std::string(which) + ".key_order").as<json::Value::Array>()) {
      names.push_back(*name.as<std::string>());
    }
    return names;
  }

  ProcessMetrics process_;
  OutputMetrics output_;
  json::Value recorded_;
};

// `found` has the keys of `wanted`, in its order, all of them whole numbers or objects of the same.
void expect_tree(const json::Value& found, const json::Value& wanted, const std::string& path) {
  if (wanted.as<std::string>() != nullptr) {
    ASSERT_EQ(*wanted.as<std::string>(), "int");
    EXPECT_NE(found.as<std::int64_t>(), nullptr) << path;
    return;
  }
  ASSERT_EQ(keys(found), keys(wanted)) << path;
  for (const std::string& key : keys(wanted)) {
    expect_tree(at(found, key), at(wanted, key), path + "." + key);
  }
}

void add_each(machine::MachineCounts& machine) {
  // In another order than the lines', as a guest finds them.
  add_device<virtio::Pmem>(machine, "p1");
  add_device<virtio::Net>(machine, "n1");
  add_device<virtio::Block>(machine, "d1");
  add_device<virtio::Vsock>(machine, "");
  add_device<virtio::Rng>(machine, "");
  add_device<virtio::Balloon>(machine, "");
  add_device<virtio::Console>(machine, "");
  add_device<virtio::Mem>(machine, "");
}

TEST_F(Schema, HasEveryKeyWithoutADevice) { EXPECT_EQ(keys(line({})), order("no_devices")); }

TEST_F(Schema, HasEveryKeyOfEveryDevice) {
  machine::MachineCounts machine;
  add_each(machine);
  const json::Value found = line(machine);
  EXPECT_EQ(keys(found), order("all_devices"));
  expect_tree(found, at(recorded_, "all_devices.tree"), "");
  EXPECT_EQ(test::number(found, "utc_timestamp_ms"), 1234U);
}

TEST_F(Schema, HasDevicesOfOneKindByTheirIds) {
  machine::MachineCounts machine;
  add_device<virtio::Block>(machine, "d2");
  add_device<virtio::Net>(machine, "n2");
  add_device<virtio::Block>(machine, "d1");
  add_device<virtio::Net>(machine, "n1");
  add_device<virtio::Pmem>(machine, "p1");
  EXPECT_EQ(keys(line(machine)), order("two_drives_two_nics"));
}

TEST_F(Schema, HasAVhostUserDriveByItself) {
  machine::MachineCounts machine;
  add_device<virtio::VhostUserBlock>(machine, "v");
  add_device<virtio::Block>(machine, "d");
  const json::Value found = line(machine);
  EXPECT_THAT(keys(found), testing::IsSupersetOf({"block_d", "block", "vhost_user_block_v"}));
  EXPECT_THAT(keys(found), testing::Not(testing::Contains("vhost_user_block")));
  EXPECT_EQ(keys(at(found, "vhost_user_block_v")),
            (std::vector<std::string>{"activate_fails", "cfg_fails", "init_time_us",
                                      "activate_time_us", "config_change_time_us"}));
}

TEST_F(Schema, HasTheIdAndPropertiesAfterTheTime) {
  EXPECT_EQ(keys(line({}, R"("id":"x","properties":{"a":"b"},)")), order("emit_id_and_properties"));
}

TEST_F(Schema, EscapesIds) {
  machine::MachineCounts machine;
  add_device<virtio::Block>(machine, "a\"\\\n\x01");
  EXPECT_THAT(keys(line(machine)), testing::Contains("block_a\"\\\n\x01"));
}

TEST_F(Schema, FitsTheBufferWithAsManyDevicesAsThereCanBe) {
  const std::string id(64, '\x01');
  machine::MachineCounts machine;
  for (std::size_t i = 0; i < machine::kMaxDevices; ++i) {
    virtio::NetMetrics metrics;
    metrics.rx_bytes_count = UINT64_MAX;
    add_device<virtio::Net>(machine, id, metrics);
  }
  LineBuffer buffer(std::size_t{1} << 17);
  Baselines baselines;
  make_line({.process = process_, .output = output_, .machine = machine}, 0, {}, baselines, false,
            buffer);
  EXPECT_FALSE(buffer.overflow());
  LineBuffer small(1000);
  make_line({.process = process_, .output = output_, .machine = machine}, 0, {}, baselines, false,
            small);
  EXPECT_TRUE(small.overflow());
  EXPECT_LE(small.text().size(), 1000U);
}

}  // namespace
}  // namespace mote::api::firecracker
