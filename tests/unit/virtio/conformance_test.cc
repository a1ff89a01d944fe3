// What every kind of virtio device does alike: one suite over the table of kinds, by their rigs.
#include <gtest/gtest.h>

#include "virtio/device_fixture.h"

namespace mote::virtio::test {
namespace {

template <typename D>
class DeviceConformance : public DeviceFixture<D> {};
TYPED_TEST_SUITE(DeviceConformance, Devices);

TYPED_TEST(DeviceConformance, TraitsAreSound) {
  const DeviceTraits traits = this->device_->traits();
  EXPECT_NE(traits.type, 0U);
  EXPECT_FALSE(traits.queue_sizes.empty());
  for (const auto size : traits.queue_sizes) EXPECT_TRUE(std::has_single_bit(size)) << size;
  EXPECT_EQ(traits.features & kRingFeatures, 0U) << "the ring's features are the transport's";
  EXPECT_LE(traits.config_size, Mmio::kSize - VIRTIO_MMIO_CONFIG);
  std::vector<std::byte> config(traits.config_size);
  for (std::uint32_t i = 0; i < traits.config_size; ++i) {
    this->device_->read_config(i, std::span(config).subspan(i, 1));
  }
  std::vector<std::byte> whole(traits.config_size);
  this->device_->read_config(0, whole);
  EXPECT_EQ(config, whole) << "byte by byte and at once";
}

TYPED_TEST(DeviceConformance, StartsWorksAndStops) {
  EXPECT_EQ(this->start(), kDriverOk);
  this->expect_works();
  const auto queue = this->device_->stop(this->kQueue);
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->in_flight(), 0U);
  EXPECT_EQ(queue->forgotten(), 0U);
  EXPECT_FALSE(this->device_->stop(this->kQueue)) << "stopped once";
  this->device_->kick(this->kQueue);
}

TYPED_TEST(DeviceConformance, WorksWithNoFeatureOfTheRing) {
  const std::uint64_t plain = this->driver_->offered() &
                              ~(std::uint64_t{1} << VIRTIO_RING_F_EVENT_IDX) &
                              ~(std::uint64_t{1} << VIRTIO_RING_F_INDIRECT_DESC);
  this->ring_.emplace(this->memory_, this->kSize, 0x10000, plain);
  EXPECT_EQ(this->start(plain), kDriverOk);
  this->expect_works();
}

TYPED_TEST(DeviceConformance, ResetsAndStartsAnew) {
  for (int round = 0; round < 5; ++round) {
    this->fresh_ring();
    EXPECT_EQ(this->start(), kDriverOk);
    this->expect_works();
    EXPECT_EQ(this->driver_->set_status(0), 0U);
  }
}

TYPED_TEST(DeviceConformance, ResetWithChainsWaitingTouchesThemNoMore) {
  this->start();
  for (int i = 0; i < 3; ++i) this->rig_.work(*this->ring_).push();
  this->driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, this->kQueue);
  this->driver_->set_status(0);
  this->mmio_->handle_notify(this->kQueue);  // the kick that was under way
  EXPECT_TRUE(this->ring_->take_used().empty());
  this->fresh_ring();
  EXPECT_EQ(this->start(), kDriverOk);
  this->expect_works();
}

TYPED_TEST(DeviceConformance, PauseHoldsAndResumeLosesNoKick) {
  this->start();
  this->mmio_->pause();
  this->mmio_->pause();
  const auto head = this->rig_.work(*this->ring_).push();
  this->kick();
  EXPECT_TRUE(this->ring_->take_used().empty());
  this->mmio_->resume();
  EXPECT_EQ(this->ring_->take_used().at(0).head, head);
  this->expect_works();
}

TYPED_TEST(DeviceConformance, ResetDuringAPauseIsAReset) {
  this->start();
  this->mmio_->pause();
  EXPECT_EQ(this->driver_->set_status(0), 0U);
  this->mmio_->resume();
  EXPECT_FALSE(this->device_->stop(this->kQueue));
  this->fresh_ring();
  EXPECT_EQ(this->start(), kDriverOk);
  this->expect_works();
}

TYPED_TEST(DeviceConformance, StartDuringAPauseRunsFromResumeOn) {
  this->mmio_->pause();
  const auto head = this->rig_.work(*this->ring_).push();
  EXPECT_EQ(this->start(), kDriverOk);
  this->kick();
  EXPECT_TRUE(this->ring_->take_used().empty());
  this->mmio_->resume();
  EXPECT_EQ(this->ring_->take_used().at(0).head, head);
}

TYPED_TEST(DeviceConformance, IsSavedOnlyWhilePaused) {
  EXPECT_FALSE(this->mmio_->save());
  this->mmio_->pause();
  EXPECT_TRUE(this->mmio_->save());
}

TYPED_TEST(DeviceConformance, GoesOnInARestoredMachine) {
  this->start();
  for (int i = 0; i < 20; ++i) this->expect_works();
  this->mmio_->pause();
  const auto waiting = this->rig_.work(*this->ring_).push();
  const auto transport = this->mmio_->save();
  ASSERT_TRUE(transport);
  const auto state = this->device_->save();
  this->mmio_.reset();

  auto device = this->restore(state);
  ASSERT_TRUE(device);
  this->device_ = std::move(*device);
  auto mmio = Mmio::restore(this->parts(), *transport);
  ASSERT_TRUE(mmio) << mmio.error().text();
  this->mmio_ = std::move(*mmio);
  this->driver_.emplace(*this->mmio_);
  EXPECT_EQ(this->driver_->status(), kDriverOk);
  EXPECT_TRUE(this->ring_->take_used().empty());
  this->mmio_->resume();
  EXPECT_EQ(this->ring_->take_used().at(0).head, waiting);
  for (int i = 0; i < 20; ++i) this->expect_works();
  // And it resets and starts like any other.
  this->driver_->set_status(0);
  this->fresh_ring();
  EXPECT_EQ(this->start(), kDriverOk);
  this->expect_works();
}

TYPED_TEST(DeviceConformance, AStateInTheMiddleOfNegotiationGoesOn) {
  this->driver_->negotiate(this->driver_->offered());
  this->mmio_->pause();
  const auto saved = this->mmio_->save();
  ASSERT_TRUE(saved);
  auto mmio = Mmio::restore(this->parts(), *saved);
  ASSERT_TRUE(mmio);
  (*mmio)->resume();
  this->mmio_ = std::move(*mmio);
  this->driver_.emplace(*this->mmio_);
  this->driver_->set_up_queue(this->kQueue, this->ring_->addresses());
  EXPECT_EQ(this->driver_->set_status(kDriverOk), kDriverOk);
  this->expect_works();
}

TYPED_TEST(DeviceConformance, AStateThatDoesNotFitIsRefused) {
  this->start();
  this->mmio_->pause();
  const auto good = this->mmio_->save();
  ASSERT_TRUE(good);
  constexpr std::uint16_t q = TestFixture::kQueue;
  const auto refused = [&](auto spoil) {
    MmioState bad = *good;
    spoil(bad.session);
    const auto mmio = Mmio::restore(this->parts(), bad);
    return !mmio && mmio.error().text().find("the device") != std::string::npos;
  };
  EXPECT_FALSE(refused([](SessionState&) {})) << "the good one is good";
  EXPECT_TRUE(refused([](SessionState& s) { s.status = 4; }));
  EXPECT_TRUE(refused([](SessionState& s) { s.driver_features |= std::uint64_t{1} << 63; }));
  EXPECT_TRUE(refused([](SessionState& s) { s.driver_features = 0; }));
  EXPECT_TRUE(refused([](SessionState& s) { s.queues.emplace_back(); }));
  EXPECT_TRUE(refused([](SessionState& s) { s.queues.clear(); }));
  EXPECT_TRUE(refused([](SessionState& s) { s.queues[q].running.reset(); }));
  EXPECT_TRUE(refused([](SessionState& s) { ++s.queues[q].running->next_avail; }));
  EXPECT_TRUE(refused([](SessionState& s) { s.queues[q].descriptors = kLowEnd; }));
  EXPECT_TRUE(refused([](SessionState& s) { s.queues[q].size = 3; }));
  EXPECT_TRUE(refused([](SessionState& s) { s.status = kFeaturesOk; }));
}

TYPED_TEST(DeviceConformance, ALyingRingNeedsAResetAndAResetMendsIt) {
  struct Lie {
    const char* name;
    void (*tell)(TestRing&);
  };
  for (const Lie& lie : {Lie{"head", [](TestRing& ring) { ring.offer(16); }},
                         Lie{"index", [](TestRing& ring) { ring.set_available_index(999); }},
                         Lie{"loop",
                             [](TestRing& ring) {
                               ring.put(0, {0x1000, 1, VRING_DESC_F_NEXT, 0});
                               ring.offer(0);
                             }},
                         Lie{"wild", [](TestRing& ring) {
                               ring.put(0, {kLowEnd, 16, VRING_DESC_F_WRITE, 0});
                               ring.offer(0);
                             }}}) {
    this->fresh_ring();
    EXPECT_EQ(this->start(), kDriverOk) << lie.name;
    lie.tell(*this->ring_);
    this->kick();
    EXPECT_EQ(this->driver_->status(), kDriverOk | kNeedsReset) << lie.name;
    EXPECT_FALSE(this->device_->stop(this->kQueue)) << lie.name;
    EXPECT_TRUE(this->ring_->take_used().empty()) << lie.name;
    this->driver_->set_status(0);
  }
  EXPECT_EQ(this->mmio_->metrics().rings_broken, 4U);
  this->fresh_ring();
  EXPECT_EQ(this->start(), kDriverOk);
  this->expect_works();
}

TYPED_TEST(DeviceConformance, GarbageInSoundChainsIsAnsweredAndNothingElse) {
  TestDriver driver(*this->device_, 64, 0, this->kQueue);
  std::minstd_rand random(99);
  for (int round = 0; round < 3000; ++round) {
    if (round % 50 == 0) driver.ring.rewind();
    ChainBuilder chain = driver.chain();
    const auto ins = random() % 4;
    const auto outs = random() % 4 + (ins == 0 ? 1 : 0);
    for (std::size_t i = 0; i < ins; ++i) {
      std::string bytes(random() % 40, '\0');
      for (char& byte : bytes)
        byte = static_cast<char>(random() % 16 == 0 ? random() : random() % 2);
      chain.in(bytes);
    }
    for (std::size_t i = 0; i < outs; ++i) chain.out(random() % 700);
    if (random() % 3 == 0) chain.indirect();
    const auto head = chain.push();
    driver.kick();
    ASSERT_EQ(driver.used().head, head) << round;
  }
  EXPECT_TRUE(driver.ring.gaps_intact());
  EXPECT_EQ(driver.host.breaks, 0);
  const auto queue = this->device_->stop(this->kQueue);
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->forgotten(), 0U);
}

}  // namespace
}  // namespace mote::virtio::test
