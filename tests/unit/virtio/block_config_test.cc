// What a user may say of a drive, and what is answered.
#include "virtio/block/config.h"

#include <gtest/gtest.h>

#include "storage/qcow2/support.h"
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

TEST(BlockConfig, ABackendHasItsOwnSay) {
  const BlockConfig far{.drive_id = "far", .cache_type = CacheType::Writeback, .socket = "/run/b"};
  EXPECT_TRUE(check(far));
  const auto refused = [&far](const std::string& field, auto change) {
    BlockConfig config = far;
    change(config);
    expect_refused(config, ErrorKind::kInvalid, field);
  };
  refused("path_on_host", [](auto& config) { config.path_on_host = "/images/root.img"; });
  refused("is_read_only", [](auto& config) { config.is_read_only = false; });
  refused("io_engine", [](auto& config) { config.io_engine = IoEngine::Sync; });
  refused("rate_limiter", [](auto& config) { config.rate_limiter.emplace(); });
  refused("direct", [](auto& config) { config.direct = true; });
  refused("serial", [](auto& config) { config.serial = "1"; });
  refused("num_queues", [](auto& config) { config.num_queues = 2; });
  refused("format", [](auto& config) { config.format = DiskFormat::Qcow2; });
  refused("backing_files", [](auto& config) { config.backing_files = true; });
  refused("socket", [](auto& config) { config.socket = ""; });
  refused("socket", [](auto& config) { config.socket = std::string("a\0b", 3); });
}

TEST(BlockConfig, AFormatIsSaid) {
  BlockConfig config = good();
  config.backing_files = true;
  expect_refused(config, ErrorKind::kInvalid, "backing_files");
  config.format = DiskFormat::Qcow2;
  EXPECT_TRUE(check(config));
  config.direct = true;
  expect_refused(config, ErrorKind::kUnsupported, "direct");
}

// A guest that writes an image's header into its raw disk has a raw disk with that in it; and an
// image is not read as one where it is not called one.
TEST(BlockConfig, AFormatIsNotGuessed) {
  const storage::test::TempFile file(
      storage::qcow2::test::empty_image({.size = 8 << 20, .cluster_bits = 12}));
  TestServices services;
  BlockConfig config{.drive_id = "data", .path_on_host = file.path()};
  auto raw = Block::create(config, services.get());
  ASSERT_TRUE(raw);
  EXPECT_EQ((*raw)->save().sectors, file.content().size() / 512);
  config.format = DiskFormat::Qcow2;
  for (const IoEngine engine : {IoEngine::Sync, IoEngine::Async}) {
    config.io_engine = engine;
    auto image = Block::create(config, services.get());
    ASSERT_TRUE(image) << image.error().text();
    EXPECT_EQ((*image)->save().sectors, (8U << 20) / 512);
  }
  const storage::test::TempFile plain(std::string(1 << 20, 'x'));
  config.path_on_host = plain.path();
  const auto refused = Block::create(config, services.get());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text().find("no qcow2 image"), std::string::npos);
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
