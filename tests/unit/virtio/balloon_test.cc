// The balloon: its size, statistics, and what it remembers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/virtio_ids.h>

#include "locked_pages.h"
#include "log_lines.h"
#include "virtio/balloon_fixture.h"

namespace mote::virtio::test {
namespace {

using testing::HasSubstr;

TEST_F(BalloonTest, SaysWhatItIs) {
  const DeviceTraits traits = balloon_->traits();
  EXPECT_EQ(traits.type, std::uint32_t{VIRTIO_ID_BALLOON});
  EXPECT_EQ(traits.features, kAll | bit(VIRTIO_BALLOON_F_DEFLATE_ON_OOM));
  EXPECT_EQ(traits.queue_sizes, std::vector<std::uint16_t>(5, 256));
  EXPECT_EQ(read_config().num_pages, 64 * 256U);
  EXPECT_EQ(read_config().actual, 0U);
  build({.amount_mib = 0});
  EXPECT_EQ(balloon_->traits().features, 0U);
  EXPECT_EQ(balloon_->traits().queue_sizes.size(), 2U);
}

TEST_F(BalloonTest, NumbersItsQueuesWithoutHoles) {
  build({.amount_mib = 0, .free_page_reporting = true});
  EXPECT_EQ(balloon_->traits().queue_sizes.size(), 3U);
  start(bit(VIRTIO_BALLOON_F_REPORTING), 3);
  use(kPages, 2 * kMib);
  send_range(2, kPages, 2 * kMib);
  EXPECT_EQ(balloon_->metrics().free_page_report_freed, 2 * kMib);
  stop();
  // A driver that takes fewer features has fewer queues.
  build(kConfig);
  start(bit(VIRTIO_BALLOON_F_REPORTING), 3);
  send_range(2, kPages, 2 * kMib);
  EXPECT_EQ(balloon_->metrics().free_page_report_count, 1U);
  lines_.push_back(std::make_unique<BalloonLine>(machine_.memory, 3, 0));
  auto queue = Queue::create({.memory = &machine_.memory,
                              .host = &lines_[3]->host,
                              .index = 3,
                              .max_size = 16,
                              .features = kRingFeatures},
                             ring(3).addresses());
  EXPECT_FALSE(balloon_->start(3, std::move(*queue))) << "no feature brings a fourth";
}

TEST_F(BalloonTest, RefusesWhatIsMoreThanTheGuestHas) {
  const auto total = static_cast<std::uint32_t>(machine_.memory.total_size() / kMib);
  const auto made = Balloon::create({.amount_mib = total + 1}, machine_.get());
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().text(), HasSubstr("amount_mib is 1041; it must be at most 1040"));
  EXPECT_TRUE(Balloon::create({.amount_mib = total}, machine_.get()));
  EXPECT_FALSE(check(BalloonConfig{.amount_mib = 1 << 24}));
  EXPECT_TRUE(check(BalloonConfig{.amount_mib = (1 << 24) - 1}));
}

TEST_F(BalloonTest, GivesInflatedPagesBackToTheHost) {
  start();
  use(kPages, kMib);
  EXPECT_EQ(resident(kPages, kMib), kMib);
  // As Linux sends them: from above, some twice, some alone.
  inflate({kFirst + 9, kFirst + 8, kFirst + 7, kFirst + 8, kFirst + 100});
  EXPECT_EQ(resident(kPages, kMib), kMib - 4 * kPage);
  EXPECT_EQ(*machine_.memory.read<std::uint8_t>(kPages + 8 * kPage), 0);
  EXPECT_EQ(*machine_.memory.read<std::uint8_t>(kPages + 6 * kPage), 7);
  EXPECT_EQ(balloon_->metrics().inflate_freed, 4 * kPage);
  EXPECT_EQ(balloon_->metrics().inflate_count, 1U);
  // Deflated, they are memory again when they are touched.
  ring(kDeflate).chain().in_value(kFirst + 8).push();
  kick(kDeflate);
  EXPECT_EQ(ring(kDeflate).take_used().size(), 1U);
  EXPECT_EQ(balloon_->metrics().deflate_count, 1U);
  use(kPages + 8 * kPage, kPage);
  EXPECT_EQ(resident(kPages, kMib), kMib - 3 * kPage);
}

TEST_F(BalloonTest, PagesThatAreNoMemoryAreCountedAndTheOthersStillTaken) {
  start();
  use(kLowEnd - kPage, kPage);
  const auto end = static_cast<std::uint32_t>(kLowEnd / kPage);
  inflate({end, end - 1, end + 1, 0xffffffff, 0xfffffffe, 0});
  EXPECT_EQ(balloon_->metrics().inflate_bad_pages, 4U);
  EXPECT_EQ(resident(kLowEnd - kPage, kPage), 0U);
}

TEST_F(BalloonTest, AHostThatKeepsPagesIsLoggedOnceAndTheOthersAreStillTaken) {
  start();
  use(kPages, 3 * kPage);
  const mote::test::LockedPages kept(
      machine_.memory.slice(kPages, kPage)->lend_for_reading().iov_base, kPage);
  const mote::test::LogLines log;
  for (int i = 0; i < 3; ++i) inflate({kFirst, kFirst + 2});
  EXPECT_EQ(log.count("balloon: "), 1) << log.text();
  EXPECT_EQ(resident(kPages, 3 * kPage), 2 * kPage);
  EXPECT_EQ(balloon_->metrics().inflate_fails, 3U);
}

TEST_F(BalloonTest, ChainsWithoutSenseAreAnsweredAndCounted) {
  start();
  ring(kInflate).chain().out(4096).push();
  ring(kInflate).chain().in("abc").push();
  ring(kInflate).chain().in("abcdefg").out(9).push();
  ring(kDeflate).chain().out(1).push();
  kick(kInflate);
  kick(kDeflate);
  EXPECT_EQ(ring(kInflate).take_used().size(), 3U);
  EXPECT_EQ(ring(kDeflate).take_used().size(), 1U);
  EXPECT_EQ(balloon_->metrics().event_fails, 3U);
}

TEST_F(BalloonTest, ALongArrayIsCutAndOthersHaveTheirTurn) {
  start();
  // All of memory as page numbers, three times.
  for (int i = 0; i < 3; ++i) {
    ring(kInflate).put(i, {.address = kPages, .length = 256 * kMib});
    ring(kInflate).offer(static_cast<std::uint16_t>(i));
  }
  EXPECT_EQ(kick(kInflate), 3);
  EXPECT_EQ(ring(kInflate).take_used().size(), 3U);
  EXPECT_EQ(balloon_->metrics().event_fails, 3U);
  EXPECT_EQ(balloon_->metrics().inflate_bad_pages, 0U) << "zeros: page 0 over and over";
}

TEST_F(BalloonTest, TheDriverSaysHowFarItIsAndNothingElse) {
  const std::uint32_t value = 1234;
  const auto bytes = std::as_bytes(std::span(&value, 1));
  EXPECT_TRUE(balloon_->write_config(4, bytes));
  EXPECT_EQ(read_config().actual, 1234U);
  for (const std::uint32_t offset : {0U, 1U, 2U, 3U, 5U, 6U, 8U, 12U}) {
    EXPECT_FALSE(balloon_->write_config(offset, bytes)) << offset;
  }
  EXPECT_TRUE(balloon_->write_config(5, bytes.first(2)));
  EXPECT_EQ(read_config().num_pages, 64 * 256U);
  balloon_->reset();
  EXPECT_EQ(read_config().actual, 0U);
}

TEST_F(BalloonTest, AnotherSizeReachesADriverThatIsThere) {
  EXPECT_EQ(balloon_->update(3).error().kind(), ErrorKind::kState);
  start();
  EXPECT_TRUE(balloon_->update(3));
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(read_config().num_pages, 3 * 256U);
  EXPECT_EQ(balloon_->config().amount_mib, 3U);
  EXPECT_EQ(balloon_->update(1041).error().kind(), ErrorKind::kInvalid);
  stop();
  EXPECT_TRUE(balloon_->update(4)) << "paused";
  balloon_->reset();
  EXPECT_FALSE(balloon_->update(5));
}

// Statistics
// ------------------------------------------------------------------------------------------------

template <std::size_t N>
std::string stats(const std::array<virtio_balloon_stat, N>& entries) {
  return {reinterpret_cast<const char*>(entries.data()), sizeof entries};
}

TEST_F(BalloonTest, AsksForStatisticsAndTellsThem) {
  start();
  EXPECT_FALSE(balloon_->statistics()->free_memory);
  EXPECT_EQ(balloon_->statistics()->target_pages, 64 * 256U);
  const auto head =
      ring(kStatistics)
          .chain()
          .in(stats(std::array<virtio_balloon_stat, 4>{{{VIRTIO_BALLOON_S_MEMFREE, 4096},
                                                        {VIRTIO_BALLOON_S_SWAP_IN, 0},
                                                        {15, 77},
                                                        {16, 99}}}))
          .push();
  kick(kStatistics);
  EXPECT_TRUE(ring(kStatistics).take_used().empty()) << "kept until the poll";
  const auto told = balloon_->statistics();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->free_memory, 4096U);
  EXPECT_EQ(told->swap_in, 0U);
  EXPECT_EQ(told->direct_reclaim, 77U);
  EXPECT_FALSE(told->oom_kill);
  EXPECT_EQ(balloon_->metrics().stats_updates_count, 1U);
  run_loop(std::chrono::milliseconds(1200));
  EXPECT_EQ(ring(kStatistics).take_used().at(0).head, head);
  EXPECT_EQ(lines_[kStatistics]->host.interrupts, 1);
  EXPECT_EQ(balloon_->metrics().stats_update_fails, 0U);
  run_loop(std::chrono::milliseconds(1000));
  EXPECT_EQ(balloon_->metrics().stats_update_fails, 1U) << "the driver did not answer";
}

TEST_F(BalloonTest, StatisticsWithoutSenseAreCounted) {
  start();
  ring(kStatistics).chain().in("123456789").push();
  ring(kStatistics).chain().in(std::string(650, 's')).push();
  ring(kStatistics).chain().out(10).push();
  kick(kStatistics);
  EXPECT_EQ(ring(kStatistics).take_used().size(), 2U) << "one is kept";
  EXPECT_EQ(balloon_->metrics().stats_update_fails, 3U);
  EXPECT_EQ(balloon_->metrics().stats_updates_count, 0U);
}

TEST_F(BalloonTest, AStopIsAPoll) {
  start();
  ring(kStatistics)
      .chain()
      .in(stats(std::array<virtio_balloon_stat, 1>{{{VIRTIO_BALLOON_S_MEMTOT, 5}}}))
      .push();
  kick(kStatistics);
  const auto queue = balloon_->stop(kStatistics);
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->in_flight(), 0U);
  EXPECT_EQ(ring(kStatistics).take_used().size(), 1U);
  run_loop(std::chrono::milliseconds(1200));
  EXPECT_EQ(balloon_->metrics().stats_update_fails, 0U) << "no polls while stopped";
}

TEST_F(BalloonTest, StatisticsAreNotSwitchedOnOrOff) {
  EXPECT_TRUE(balloon_->update_statistics(5));
  EXPECT_EQ(balloon_->config().stats_polling_interval_s, 5);
  EXPECT_FALSE(balloon_->update_statistics(0));
  build({.amount_mib = 1});
  EXPECT_TRUE(balloon_->update_statistics(0));
  EXPECT_FALSE(balloon_->update_statistics(1));
  EXPECT_FALSE(balloon_->statistics());
}

TEST_F(BalloonTest, GoesOnWhereItWasSaved) {
  start();
  ASSERT_TRUE(balloon_->update(12));
  ASSERT_TRUE(balloon_->update_statistics(30));
  ASSERT_TRUE(balloon_->start_hinting(false));
  send_command(2);
  const std::uint32_t pages = 300;
  balloon_->write_config(4, std::as_bytes(std::span(&pages, 1)));
  ring(kStatistics)
      .chain()
      .in(stats(std::array<virtio_balloon_stat, 1>{{{VIRTIO_BALLOON_S_CACHES, 8}}}))
      .push();
  kick(kStatistics);
  stop();
  const BalloonState state = balloon_->save();

  TestServices other;
  auto restored = Balloon::restore(kConfig, other.get(), state);
  ASSERT_TRUE(restored) << restored.error().text();
  EXPECT_EQ((*restored)->config().amount_mib, 12U);
  EXPECT_EQ((*restored)->config().stats_polling_interval_s, 30);
  EXPECT_EQ((*restored)->hinting()->host_cmd, 2U);
  EXPECT_EQ((*restored)->hinting()->guest_cmd, 2U);
  EXPECT_EQ((*restored)->statistics()->disk_caches, 8U);
  EXPECT_EQ((*restored)->statistics()->actual_mib, 1U);
  EXPECT_TRUE((*restored)->update(13)) << "its driver is still there";

  EXPECT_FALSE(Balloon::restore({.amount_mib = 1}, other.get(), state)) << "statistics are gone";
  BalloonState large = state;
  large.amount_mib = 5000;
  EXPECT_FALSE(Balloon::restore(kConfig, other.get(), large));
}

}  // namespace
}  // namespace mote::virtio::test
