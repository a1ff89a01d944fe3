// The entropy device over a source that counts.
#include "log_lines.h"
#include "virtio/rng/device.h"

#include <gtest/gtest.h>
#include <linux/virtio_ids.h>

#include <algorithm>

#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

// Bytes 1, 2, 3, ...; none of them 0, so that what was not filled is seen.
class FakeEntropy final : public EntropySource {
 public:
  Result<void> fill(std::span<std::byte> into) override {
    ++calls;
    if (left < into.size()) return fail(ErrorKind::kIo, "the fake source is dry");
    left -= into.size();
    for (std::byte& byte : into) {
      byte = std::byte{next};
      next = next == 255 ? 1 : next + 1;
    }
    return {};
  }

  std::uint8_t next = 1;
  std::uint64_t left = UINT64_MAX;
  int calls = 0;
};

class RngTest : public ::testing::Test {
 protected:
  RngTest() {
    auto source = std::make_unique<FakeEntropy>();
    source_ = source.get();
    rng_ = std::make_unique<Rng>(std::move(source), *services_.loop);
    driver_ = std::make_unique<TestDriver>(*rng_, 64);
  }

  TestServices services_;
  FakeEntropy* source_ = nullptr;
  std::unique_ptr<Rng> rng_;
  std::unique_ptr<TestDriver> driver_;
};

TEST_F(RngTest, IsWhatADriverExpects) {
  const DeviceTraits traits = rng_->traits();
  EXPECT_EQ(traits.type, std::uint32_t{VIRTIO_ID_RNG});
  EXPECT_EQ(traits.features, 0U);
  EXPECT_EQ(traits.queue_sizes, std::vector<std::uint16_t>{256});
  EXPECT_EQ(traits.config_size, 0U);
}

TEST_F(RngTest, FillsARequestHoweverItIsSplit) {
  const auto head = driver_->chain().out(3).out(1).out(5000).out(1).push();
  driver_->kick();
  const Used used = driver_->used();
  EXPECT_EQ(used.head, head);
  EXPECT_EQ(used.length, 5005U);
  const std::string bytes = driver_->ring.written(head);
  ASSERT_EQ(bytes.size(), 5005U);
  std::uint8_t expected = 1;
  for (const char byte : bytes) {
    ASSERT_EQ(static_cast<std::uint8_t>(byte), expected);
    expected = expected == 255 ? 1 : expected + 1;
  }
  EXPECT_EQ(rng_->metrics().entropy_bytes, 5005U);
  EXPECT_EQ(rng_->metrics().entropy_event_count, 1U);
}

TEST_F(RngTest, GivesNoMoreThan64KiBARequest) {
  const auto head = driver_->chain().out(70'000).out(70'000).push();
  driver_->kick();
  EXPECT_EQ(driver_->used().length, Rng::kMostBytes);
  const std::string bytes = driver_->ring.written(head);
  EXPECT_EQ(std::count(bytes.begin(), bytes.begin() + 65536, '\0'), 0);
}

TEST_F(RngTest, IgnoresWhatItIsGivenToRead) {
  driver_->chain().in("junk").out(64).push();
  driver_->kick();
  EXPECT_EQ(driver_->used().length, 64U);
}

TEST_F(RngTest, AnswersARequestWithoutRoom) {
  const auto head = driver_->chain().in("junk").push();
  driver_->chain().out(8).push();
  driver_->kick();
  const auto used = driver_->ring.take_used();
  ASSERT_EQ(used.size(), 2U);
  EXPECT_EQ(used[0].head, head);
  EXPECT_EQ(used[0].length, 0U);
  EXPECT_EQ(used[1].length, 8U);
  EXPECT_EQ(rng_->metrics().entropy_event_fails, 1U);
}

TEST_F(RngTest, AHostWithoutEntropyIsCountedAndTheGuestToldSo) {
  const mote::test::LogLines log;
  source_->left = 4096;
  driver_->chain().out(10'000).push();
  driver_->chain().out(16).push();
  driver_->kick();
  const auto used = driver_->ring.take_used();
  ASSERT_EQ(used.size(), 2U);
  EXPECT_EQ(used[0].length, 4096U) << "what there was";
  EXPECT_EQ(used[1].length, 0U);
  EXPECT_EQ(rng_->metrics().host_rng_fails, 2U);
  EXPECT_EQ(log.count("entropy device: "), 1);
  EXPECT_EQ(rng_->metrics().entropy_bytes, 4096U);
  source_->left = 100;
  driver_->chain().out(16).push();
  driver_->kick();
  EXPECT_EQ(driver_->used().length, 16U) << "and it goes on";
}

TEST_F(RngTest, AFloodLeavesOthersTheirTurn) {
  std::vector<std::uint16_t> heads;
  for (int i = 0; i < 10; ++i) heads.push_back(driver_->chain().out(65536).push());
  rng_->kick(0);
  EXPECT_EQ(driver_->ring.take_used().size(), Rng::kBytesATurn / Rng::kMostBytes);
  EXPECT_EQ(driver_->host.agains, 1);
  driver_->kick();
  EXPECT_EQ(driver_->ring.take_used().size(), 6U);
}

TEST_F(RngTest, HoldsToItsLimitAndGoesOnByItself) {
  ASSERT_TRUE(
      rng_->limit({.bandwidth = TokenBucketConfig{.size = 1000, .refill_time = 20}, .ops = {}}));
  for (int i = 0; i < 4; ++i) driver_->chain().out(600).push();
  driver_->kick();
  std::size_t done = driver_->ring.take_used().size();
  EXPECT_EQ(done, 1U);
  EXPECT_EQ(source_->calls, 1) << "what waits costs no entropy";
  while (done < 4 && *services_.loop->run_once(2000)) done += driver_->ring.take_used().size();
  EXPECT_EQ(done, 4U);
  EXPECT_GE(rng_->metrics().entropy_rate_limiter_throttled, 3U);
  EXPECT_GE(rng_->metrics().rate_limiter_event_count, 3U);
}

TEST_F(RngTest, CountsAgainstItsLimitWhatItGave) {
  ASSERT_TRUE(rng_->limit(
      {.bandwidth = TokenBucketConfig{.size = 1000, .refill_time = 1'000'000'000}, .ops = {}}));
  source_->left = 0;
  driver_->chain().out(1000).push();
  driver_->kick();
  EXPECT_EQ(driver_->used().length, 0U);
  source_->left = 1000;
  driver_->chain().out(1000).push();
  driver_->kick();
  EXPECT_EQ(driver_->used().length, 1000U);
}

TEST_F(RngTest, GoesOnInARestoredMachineWithWhatItsLimitsHadLeft) {
  const RngConfig config{
      .rate_limiter = RateLimiterConfig{
          .bandwidth = {}, .ops = TokenBucketConfig{.size = 2, .refill_time = 1'000'000'000}}};
  auto first = Rng::create(config, services_.get());
  ASSERT_TRUE(first);
  {
    TestDriver driver(**first, 16);
    driver.chain().out(32).push();
    driver.kick();
    EXPECT_EQ(driver.used().length, 32U);
  }
  auto second = Rng::restore(config, services_.get(), (*first)->save());
  ASSERT_TRUE(second);
  TestDriver driver(**second, 16);
  driver.chain().out(32).push();
  driver.chain().out(32).push();
  driver.kick();
  EXPECT_EQ(driver.ring.take_used().size(), 1U);
  // A state of before there were limits leaves them as configured.
  auto third = Rng::restore(config, services_.get(), {});
  ASSERT_TRUE(third);
  EXPECT_EQ((*third)->save().rate_limiter->ops->size, 2U);
}

TEST(HostEntropy, FillsEverythingWithSomethingElseEachTime) {
  HostEntropy source;
  std::vector<std::byte> first(100'000);
  std::vector<std::byte> second(100'000);
  ASSERT_TRUE(source.fill(first));
  ASSERT_TRUE(source.fill(second));
  EXPECT_NE(first, second);
  // A run of 16 zeroes anywhere would be a part that was left out.
  const std::vector<std::byte> zeroes(16);
  EXPECT_EQ(std::ranges::search(first, zeroes).begin(), first.end());
  EXPECT_TRUE(source.fill({}));
}

}  // namespace
}  // namespace mote::virtio::test
