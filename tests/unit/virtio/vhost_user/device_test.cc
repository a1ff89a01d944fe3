// The block device over a backend in another process, which here is a thread.
#include "virtio/vhost_user/fixture.h"

namespace mote::virtio::test {
namespace {

TEST_F(VhostUserBlockTest, IsWhatTheBackendSays) {
  listen();
  build();
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_DEVICE_ID), 2U);
  EXPECT_EQ(driver_->get_as<std::uint64_t>(VIRTIO_MMIO_CONFIG), disk_.size() / 512);
  // Unsafe is the default: no flush. Nor what this side does not know.
  EXPECT_EQ(driver_->offered(), kRingFeatures | bit(VIRTIO_BLK_F_SEG_MAX));
}

TEST_F(VhostUserBlockTest, OffersWhatBothKnow) {
  BackendTraits traits = good_backend();
  traits.features = bit(VIRTIO_F_VERSION_1) | bit(VIRTIO_BLK_F_FLUSH) | bit(VIRTIO_BLK_F_RO);
  listen(traits);
  BlockConfig own = config();
  own.cache_type = CacheType::Writeback;
  const auto device = VhostUserBlock::create(own, services_);
  ASSERT_TRUE(device);
  EXPECT_EQ((*device)->traits().features, bit(VIRTIO_BLK_F_FLUSH) | bit(VIRTIO_BLK_F_RO));
  EXPECT_EQ((*device)->traits().ring_features, bit(VIRTIO_F_VERSION_1));
}

TEST_F(VhostUserBlockTest, ReadsAndInterrupts) {
  listen();
  build();
  ASSERT_EQ(start(), kDriverOk);
  EXPECT_EQ(backend_->acknowledged(), driver_->offered() | bit(vhost_user::kProtocolFeaturesBit));
  for (std::uint64_t sector = 0; sector < 40; ++sector) expect_reads(sector);
  EXPECT_GT(drain_eventfd(interrupt_.fd()), 0U);
  EXPECT_EQ(driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING,
            std::uint32_t{VIRTIO_MMIO_INT_VRING});
}

TEST_F(VhostUserBlockTest, WorksWithoutProtocolFeaturesOfItsOwn) {
  BackendTraits traits = good_backend();
  traits.protocol_features = bit(vhost_user::kConfig);
  listen(traits);
  build();
  ASSERT_EQ(start(), kDriverOk);
  expect_reads(5);
  expect_reads(6);
}

TEST_F(VhostUserBlockTest, PausesAndGoesOn) {
  listen();
  build();
  ASSERT_EQ(start(), kDriverOk);
  expect_reads(1);
  mmio_->pause();
  EXPECT_FALSE(backend_->running());
  const auto state = mmio_->save();
  ASSERT_TRUE(state);
  ASSERT_TRUE(state->session.queues[0].running);
  EXPECT_EQ(state->session.queues[0].running->next_avail, 1);
  // What is pushed meanwhile is found at once.
  const auto head = push_read(2);
  mmio_->resume();
  std::vector<Used> used;
  ASSERT_TRUE(eventually([&] { return !(used = ring_->take_used()).empty(); }));
  EXPECT_EQ(used[0].head, head);
  expect_reads(3);
}

TEST_F(VhostUserBlockTest, IsRestored) {
  listen();
  build();
  ASSERT_EQ(start(), kDriverOk);
  expect_reads(1);
  mmio_->pause();
  const auto transport = mmio_->save();
  ASSERT_TRUE(transport);
  const VhostUserBlockState state = device_->save();
  mmio_.reset();
  device_.reset();
  listen();
  auto again = VhostUserBlock::restore(config(), services_, state);
  ASSERT_TRUE(again) << again.error().text();
  device_ = std::move(*again);
  auto mmio = Mmio::restore({.name = "again",
                             .device = device_.get(),
                             .memory = &memory_,
                             .interrupt = &interrupt_,
                             .run = [](const std::function<void()>& task) { task(); }},
                            *transport);
  ASSERT_TRUE(mmio) << mmio.error().text();
  mmio_ = std::move(*mmio);
  driver_.emplace(*mmio_);
  mmio_->resume();
  expect_reads(7);
}

TEST_F(VhostUserBlockTest, IsNotRestoredOverAnotherDisk) {
  listen();
  EXPECT_FALSE(VhostUserBlock::restore(config(), services_, {.features = 0, .sectors = 1 << 20}));
  EXPECT_FALSE(VhostUserBlock::restore(config(), services_,
                                       {.features = bit(VIRTIO_BLK_F_DISCARD), .sectors = 1}));
}

TEST_F(VhostUserBlockTest, IsResetAndStartedAgain) {
  listen();
  build();
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(start(), kDriverOk);
    expect_reads(4);
    EXPECT_EQ(driver_->set_status(0), 0U);
    EXPECT_FALSE(backend_->running());
  }
}

TEST_F(VhostUserBlockTest, TellsOfAnotherSize) {
  listen();
  build();
  ASSERT_EQ(start(), kDriverOk);
  disk_.resize(128 << 10);
  const std::uint32_t generation = driver_->get(VIRTIO_MMIO_CONFIG_GENERATION);
  ASSERT_TRUE(device_->refresh());
  EXPECT_EQ(driver_->get_as<std::uint64_t>(VIRTIO_MMIO_CONFIG), 256U);
  EXPECT_NE(driver_->get(VIRTIO_MMIO_CONFIG_GENERATION), generation);
  EXPECT_NE(driver_->get(VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG, 0U);
}

// A successor finishes what the one before had taken, in whatever order it had finished the rest.
TEST_F(VhostUserBlockTest, SurvivesABackendThatDies) {
  BackendTraits holding = good_backend();
  holding.holds = true;
  listen(holding);
  build();
  ASSERT_EQ(start(), kDriverOk);
  const auto one = push_read(10);
  const auto two = push_read(11);
  ASSERT_TRUE(eventually([&] { return backend_->taken() == 2; }));
  backend_.reset();
  ASSERT_TRUE(eventually([&] { return device_->metrics().disconnects == 1; }));
  const auto three = push_read(12);
  EXPECT_EQ(driver_->status(), kDriverOk);
  listen();
  std::map<std::uint32_t, std::uint32_t> done;
  ASSERT_TRUE(eventually([&] {
    for (const Used& used : ring_->take_used()) ++done[used.head];
    return done.size() == 3;
  }));
  EXPECT_EQ(done, (std::map<std::uint32_t, std::uint32_t>{{one, 1}, {two, 1}, {three, 1}}));
  EXPECT_EQ(ring_->written(two), disk_.substr(11 * 512, 512) + '\0');
  EXPECT_EQ(device_->metrics().reconnects, 1U);
  expect_reads(13);
}

TEST_F(VhostUserBlockTest, IsPausedWhileItsBackendIsGone) {
  BackendTraits holding = good_backend();
  holding.holds = true;
  listen(holding);
  build();
  ASSERT_EQ(start(), kDriverOk);
  const auto head = push_read(10);
  ASSERT_TRUE(eventually([&] { return backend_->taken() == 1; }));
  backend_.reset();
  ASSERT_TRUE(eventually([&] { return device_->metrics().disconnects == 1; }));
  mmio_->pause();
  listen();
  mmio_->resume();
  std::vector<Used> used;
  ASSERT_TRUE(eventually([&] { return !(used = ring_->take_used()).empty(); }));
  EXPECT_EQ(used, (std::vector<Used>{{head, 513}}));
  expect_reads(3);
}

TEST_F(VhostUserBlockTest, NeedsAResetWithoutNotes) {
  BackendTraits forgetful = good_backend();
  forgetful.protocol_features &= ~bit(vhost_user::kInflight);
  listen(forgetful);
  build();
  ASSERT_EQ(start(), kDriverOk);
  expect_reads(1);
  backend_.reset();
  ASSERT_TRUE(eventually([&] { return driver_->status() == (kDriverOk | kNeedsReset); }));
  // And a reset finds its successor.
  listen(forgetful);
  ASSERT_EQ(start(), kDriverOk);
  expect_reads(2);
}

TEST_F(VhostUserBlockTest, AStartWithoutABackendNeedsAReset) {
  listen();
  build();
  backend_.reset();
  ASSERT_TRUE(eventually([&] { return device_->metrics().disconnects == 1; }));
  EXPECT_EQ(start(), kDriverOk | kNeedsReset);
  EXPECT_EQ(device_->metrics().activate_fails, 1U);
  listen();
  ASSERT_EQ(start(), kDriverOk);
  expect_reads(2);
}

TEST_F(VhostUserBlockTest, ASuccessorThatLacksFeaturesIsNone) {
  listen();
  build();
  ASSERT_EQ(start(), kDriverOk);
  BackendTraits less = good_backend();
  less.features &= ~bit(VIRTIO_RING_F_EVENT_IDX);
  listen(less);
  ASSERT_TRUE(eventually([&] { return driver_->status() == (kDriverOk | kNeedsReset); }));
}

TEST_F(VhostUserBlockTest, NobodyListens) {
  const auto device = VhostUserBlock::create(config(), services_);
  ASSERT_FALSE(device);
  EXPECT_NE(device.error().text().find("drive 'far'"), std::string::npos) << device.error().text();
  EXPECT_NE(device.error().text().find(socket_path()), std::string::npos);
  BlockConfig longer = config();
  longer.socket = std::string(200, 'x');
  EXPECT_FALSE(VhostUserBlock::create(longer, services_));
}

}  // namespace
}  // namespace mote::virtio::test
