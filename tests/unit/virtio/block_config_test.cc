// What a user may say of a drive, and what is answered.
#include "virtio/block/config.h"

#include <gtest/gtest.h>

#include "storage/temp_file.h"
#include "virtio/block/device.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

BlockConfig good() {
  return {.drive_id = "root", .path_on_host = "/images/root.img", .is_root_device = true};
}

void expect_refused(const BlockConfig& config, ErrorKind kind, const std::string& field) {
  const auto checked = check(config);
  ASSERT_FALSE(checked) << field;
  EXPECT_EQ(checked.error().kind(), kind) << checked.error().text();
  EXPECT_NE(checked.error().text().find(field), std::string::npos) << checked.error().text();
}

TEST(BlockConfig, AcceptsWhatIsBuilt) {
  EXPECT_TRUE(check(good()));
  BlockConfig config = good();
  config.partuuid = "0eaa91a0-01";
  config.is_read_only = true;
  config.cache_type = CacheType::Writeback;
  for (const IoEngine engine : {IoEngine::Sync, IoEngine::Async}) {
    config.io_engine = engine;
    EXPECT_TRUE(check(config));
  }
  config.direct = true;
  config.serial = "12345678901234567890";
  config.num_queues = 32;
  EXPECT_TRUE(check(config));
  config.rate_limiter.emplace();  // without a bucket: no limit
  config.rate_limiter = RateLimiterConfig{.bandwidth = TokenBucketConfig{.size = UINT64_MAX},
                                          .ops = TokenBucketConfig{.refill_time = UINT64_MAX}};
  EXPECT_TRUE(check(config));
  config.is_root_device = false;  // partuuid then means nothing, as with Firecracker
  EXPECT_TRUE(check(config));
}

TEST(BlockConfig, RefusesWhatMakesNoSense) {
  BlockConfig config = good();
  config.drive_id.clear();
  expect_refused(config, ErrorKind::kInvalid, "drive_id");
  config = good();
  config.path_on_host.reset();
  expect_refused(config, ErrorKind::kInvalid, "path_on_host");
  config.path_on_host = "";
  expect_refused(config, ErrorKind::kInvalid, "path_on_host");
  config.path_on_host = std::string("a\0b", 3);
  expect_refused(config, ErrorKind::kInvalid, "path_on_host");
}

TEST(BlockConfig, RefusesABadSerialAndBadQueues) {
  BlockConfig config = good();
  for (const std::string& serial :
       {std::string(), std::string(21, 'x'), std::string("a b"), std::string("a\0b", 3),
        std::string("a\n"), std::string("\xc3\xa9")}) {
    config.serial = serial;
    expect_refused(config, ErrorKind::kInvalid, "serial");
  }
  config = good();
  for (const std::uint32_t queues : {0U, 33U, UINT32_MAX}) {
    config.num_queues = queues;
    expect_refused(config, ErrorKind::kInvalid, "num_queues");
  }
}

TEST(BlockConfig, RefusesWhatIsNotBuiltByName) {
  BlockConfig config = good();
  config = good();
  config.path_on_host.reset();
  config.socket = "/run/blk.sock";
  expect_refused(config, ErrorKind::kUnsupported, "socket");
}

TEST(BlockConfig, ErrorsOfTheHostNameTheDriveAndThePath) {
  const auto block = Block::create({.drive_id = "data", .path_on_host = "/nonexistent/x.img"},
                                   TestServices().get());
  ASSERT_FALSE(block);
  EXPECT_EQ(block.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(block.error().text().find("drive 'data'"), std::string::npos);
  EXPECT_NE(block.error().text().find("/nonexistent/x.img"), std::string::npos);
}

TEST(BlockConfig, ADiskThatShrankCannotBeRestored) {
  const storage::test::TempFile file(std::string(1024, 'x'));
  const BlockConfig config{.drive_id = "data", .path_on_host = file.path()};
  TestServices services;
  EXPECT_TRUE(Block::restore(config, services.get(), {.sectors = 2}));
  const auto smaller = Block::restore(config, services.get(), {.sectors = 3});
  ASSERT_FALSE(smaller);
  EXPECT_EQ(smaller.error().kind(), ErrorKind::kInvalid);
  EXPECT_FALSE(Block::restore(config, services.get(), {.sectors = 2, .read_only = true}));
  EXPECT_FALSE(Block::restore(config, services.get(), {.sectors = 2, .block_size = 4096}));
  const auto larger = Block::restore(config, services.get(), {.sectors = 1});
  ASSERT_TRUE(larger);
  EXPECT_EQ((*larger)->save().sectors, 1U) << "its driver knows it as it was";
}

}  // namespace
}  // namespace mote::virtio::test
